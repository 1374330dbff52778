"""Headers of safetensors files: bounded reading and an exact layout.

A file is 8 bytes that hold the length of the header (little-endian), the header
as JSON, and the bytes of all tensors, which is the payload. The manifest is a
JSON text under the key 'coalesce_jax' of the header's `__metadata__`.

Headers are untrusted, and nothing here takes memory for tensors. Sizes and
offsets are in bytes. All errors are ValueError with one line.
"""

from collections.abc import Mapping, Sequence
import json
import math
import os
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MAX_HEADER = 1 << 20
MAX_BYTES = 1 << 29
KEY = 'coalesce_jax'
NO_MANIFEST = 'no coalesce_jax manifest in its header'
# NumPy's types by the names that safetensors gives them.
TYPES: dict[str, np.dtype] = {
  'F16': np.dtype('<f2'),
  'F32': np.dtype('<f4'),
  'I8': np.dtype('i1'),
  'U8': np.dtype('u1'),
}

Shape = tuple[int, ...]


class Header(NamedTuple):
  """Holds the untrusted header of a file.

  Attributes:
    manifest: any mapping.
    entries: any values, by name of the tensor.
    payload_size: bytes from the end of the header to the end of the file.
  """

  manifest: dict[str, Any]
  entries: dict[str, Any]
  payload_size: int


class Tensor(NamedTuple):
  """Names the type and the shapes that a tensor may have.

  Attributes:
    type: one of `TYPES`.
    shapes: the shapes that are allowed, at least one.
  """

  type: str
  shapes: Sequence[Shape]


class Place(NamedTuple):
  """Says where a tensor lies.

  Attributes:
    type: one of `TYPES`.
    shape: its shape.
    offset: where it starts in the payload.
  """

  type: str
  shape: Shape
  offset: int


def read(file: BinaryIO) -> Header:
  """Reads the header of an open file; the payload comes next.

  Raises:
    ValueError: the file is too large, or has no bounded header with a manifest.
  """
  size = os.fstat(file.fileno()).st_size
  if size > MAX_BYTES:
    raise ValueError(f'{size} bytes exceed the limit of {MAX_BYTES}')
  prefix = file.read(8)
  if len(prefix) < 8:
    raise ValueError(f'{size} bytes are no safetensors file')
  (length,) = struct.unpack('<Q', prefix)
  text = file.read(min(length, MAX_HEADER))
  if length > MAX_HEADER:
    raise ValueError(
      f'not a safetensors file, or its header exceeds {MAX_HEADER} bytes'
    )
  if len(text) < length:
    raise ValueError(
      f'not a safetensors file, or truncated ({size} bytes, its header alone '
      f'has {length}); copy or download it again'
    )
  try:
    entries = _mapping(text.decode())
    manifest = _mapping(entries.pop('__metadata__')[KEY])
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise ValueError(NO_MANIFEST) from None
  return Header(manifest, entries, size - 8 - length)


def _mapping(text: str) -> dict[str, Any]:
  value = json.loads(text, object_pairs_hook=_without_duplicates)
  if not isinstance(value, dict):
    raise TypeError
  return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) != len(pairs):
    raise ValueError('duplicate keys')
  return found


def layout(
  wanted: Mapping[str, Tensor], entries: Mapping[str, Any], payload_size: int
) -> dict[str, Place]:
  """Finds the place of every tensor.

  Args:
    wanted: the tensors that the file must have, by name.
    entries: untrusted entries of the header, by name of the tensor.
    payload_size: bytes of the payload.

  Returns:
    Places by name. The tensors follow each other and fill the payload.

  Raises:
    ValueError: there are other tensors, or one does not lie where it should.
  """
  missing, extra = set(wanted) - set(entries), set(entries) - set(wanted)
  if missing or extra:
    what = f'lacks {min(missing)!r}' if missing else f'has {min(extra)[:80]!r}'
    raise ValueError(f'{what}, unlike its network')
  found, offset = {}, 0
  for name in sorted(entries, key=lambda name: _offset(entries[name])):
    entry, (type, shapes) = entries[name], wanted[name]
    try:
      shape = tuple(entry['shape'])
      begin, end = entry['data_offsets']
      good = entry['dtype'] == type and shape in shapes and len(entry) == 3
    except (KeyError, TypeError, ValueError):
      raise ValueError(f'entry of {name!r} is malformed') from None
    if not good:
      raise ValueError(
        f'{name!r} is {str(entry["dtype"])[:10]} {str(shape)[:60]}, '
        f'its network has {type} {shapes[0]}'
      )
    # Numbers of JSON that equal these sizes may be floats.
    place = Place(type, shapes[shapes.index(shape)], offset)
    size = math.prod(place.shape) * TYPES[type].itemsize
    if begin != offset or end != offset + size:
      raise ValueError(f'{name!r} does not lie where it should')
    found[name] = place
    offset += size
  if offset != payload_size:
    raise ValueError(
      f'truncated or padded, {payload_size} bytes of tensors for {offset}; '
      'copy or download it again'
    )
  return found


def _offset(entry: Any) -> int:
  try:
    begin = entry['data_offsets'][0]
  except (KeyError, TypeError, IndexError):
    return -1
  return begin if isinstance(begin, int) else -1


def encode(manifest: Mapping[str, Any], places: Mapping[str, Place]) -> bytes:
  """Encodes a header.

  Args:
    manifest: plain JSON values.
    places: the place of every tensor, by name.

  Returns:
    The bytes before the payload. Their number is a multiple of 8.

  Raises:
    ValueError: the header or the file is too large to be read again.
  """
  header: dict[str, Any] = {
    '__metadata__': {KEY: json.dumps(manifest, sort_keys=True)}
  }
  payload_size = 0
  for name, (type, shape, offset) in places.items():
    size = math.prod(shape) * TYPES[type].itemsize
    payload_size += size
    header[name] = {
      'dtype': type,
      'shape': list(shape),
      'data_offsets': [offset, offset + size],
    }
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 8)
  if len(text) > MAX_HEADER:
    raise ValueError(f'header of {len(text)} bytes exceeds {MAX_HEADER}')
  if 8 + len(text) + payload_size > MAX_BYTES:
    raise ValueError(f'tensors of {payload_size} bytes exceed {MAX_BYTES}')
  return struct.pack('<Q', len(text)) + text

"""Reads IDX files, the format of MNIST, plain or compressed with gzip.

An IDX file starts with four bytes: 0, 0, the type (8 is uint8) and the number
of dimensions. The size of each dimension follows as a big-endian uint32, then
all values.
"""

import gzip
import math
import os
import struct
from typing import BinaryIO
import zlib

import numpy as np

from coalesce_jax.core import files

MAX_BYTES = 1 << 31
_BLOCK = 1 << 20


def read(
  path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> np.ndarray:
  """Reads an IDX file of unsigned bytes.

  Args:
    path: the file. Its first bytes show whether it is compressed.
    max_bytes: largest accepted number of values. A file is read in blocks, and
      at most one byte beyond the size in its header, so that neither a header
      nor a compressed file can allocate unbounded memory.

  Returns:
    A uint8 array of the shape in the header.

  Raises:
    ValueError: the file is no IDX file, is empty or too large, or has another
      size than its header says.
  """
  name = files.shown(path)
  try:
    with open(path, 'rb') as raw:
      zipped = raw.read(2) == b'\x1f\x8b'
      raw.seek(0)
      if not zipped:
        return _read(raw, name, max_bytes)
      with gzip.open(raw) as file:
        return _read(file, name, max_bytes)
  except (EOFError, OSError, zlib.error) as error:
    raise ValueError(f'{name}: damaged ({error})') from None


def _read(
  file: BinaryIO | gzip.GzipFile, name: str, max_bytes: int
) -> np.ndarray:
  head = file.read(4)
  if len(head) < 4 or head[:3] != b'\x00\x00\x08' or not 1 <= head[3] <= 4:
    raise ValueError(f'{name}: not an IDX file of unsigned bytes')
  sizes = file.read(4 * head[3])
  if len(sizes) < 4 * head[3]:
    raise ValueError(f'{name}: truncated header')
  shape = struct.unpack(f'>{head[3]}I', sizes)
  count = math.prod(shape)
  if count > max_bytes:
    raise ValueError(f'{name}: {count} bytes of {shape} exceed {max_bytes}')
  if count == 0:
    raise ValueError(f'{name}: holds no values, its shape is {shape}')
  data = bytearray()
  while len(data) <= count:
    block = file.read(min(_BLOCK, count + 1 - len(data)))
    if not block:
      break
    data += block
  if len(data) != count:
    raise ValueError(
      f'{name}: header says {count} bytes of {shape}, the file has '
      f'{"more" if len(data) > count else len(data)}'
    )
  return np.frombuffer(data, np.uint8).reshape(shape)

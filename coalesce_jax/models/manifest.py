"""Manifests: what the header of an untrusted bundle may say.

Nothing here takes memory for tensors: the header is bounded, its manifest is
checked against the registry of networks, and every tensor's name, type, shape
and place is compared with what that network has.
"""

import json
import math
import os
import pathlib
import re
import struct
from typing import Any, BinaryIO

import jax
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.models import generator
from coalesce_jax.models import packing
from coalesce_jax.transforms import ternary as ternary_lib

FORMAT_VERSION = 1
MAX_HEADER = 1 << 20
MAX_BYTES = 1 << 29
KEY = 'coalesce_jax'
TYPES: dict[str, np.dtype] = {'F32': np.dtype('<f4'), 'U8': np.dtype('u1')}
_MAX_TEXT = 4096


class BundleError(ValueError):
  """A file is not a bundle that can be trusted; one line says why."""


def opened(path: pathlib.Path) -> BinaryIO:
  """The file, open for reading."""
  try:
    if not path.is_file():
      raise BundleError(f'{path}: no such file')
    return open(path, 'rb')
  except OSError as error:
    raise BundleError(f'{path}: cannot be read ({error.strerror})') from None


def header(file: Any, path: pathlib.Path) -> tuple[dict, dict, int, int]:
  """Manifest, entries, where the payload starts, size of the file."""
  size = os.fstat(file.fileno()).st_size
  if size > MAX_BYTES:
    raise BundleError(f'{path}: {size} bytes exceed the limit of {MAX_BYTES}')
  prefix = file.read(8)
  if len(prefix) < 8:
    raise BundleError(f'{path}: {size} bytes are no safetensors file')
  (length,) = struct.unpack('<Q', prefix)
  if length > MAX_HEADER or 8 + length > size:
    raise BundleError(
      f'{path}: not a safetensors file, or truncated (header of {length} bytes)'
    )
  try:
    header = json.loads(
      file.read(length).decode(), object_pairs_hook=_without_duplicates
    )
    entries = dict(header)
    metadata = entries.pop('__metadata__')
    manifest = json.loads(metadata[KEY], object_pairs_hook=_without_duplicates)
    if not isinstance(manifest, dict):
      raise TypeError
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise BundleError(
      f'{path}: no coalesce_jax manifest in its header'
    ) from None
  return manifest, entries, 8 + length, size


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) != len(pairs):
    raise ValueError('duplicate keys')
  return found


def spec(manifest: dict[str, Any], path: pathlib.Path) -> generator.Spec:
  """The manifest as a spec whose networks can be built within bounds."""
  version = manifest.get('format_version')
  if version != FORMAT_VERSION:
    raise BundleError(
      f'{path}: format version {str(version)[:20]}, this program reads '
      f'{FORMAT_VERSION}'
    )
  try:
    shape = _sizes(manifest['image_shape'])
    has_critic = manifest['critic'] is not None
    spec = generator.Spec(
      network=_text(manifest['network']),
      latent_size=_sizes([manifest['latent_size']])[0],
      image_shape=shape,
      options=_options(manifest['options']),
      critic=_text(manifest['critic']) if has_critic else None,
      critic_options=_options(manifest['critic_options']),
      ternary=_scheme(manifest['ternary']),
      provenance={
        _text(k): _text(v) for k, v in manifest['provenance'].items()
      },
    )
    if manifest['value_range'] != [-1.0, 1.0]:
      raise ValueError(f'value range {str(manifest["value_range"])[:40]}')
    _text(manifest['payload_sha256'])
    total = sum(math.prod(x.shape) for x in expected(spec, True).values())
    if 4 * total > MAX_BYTES:
      raise ValueError(f'{total} parameters are too many')
    packing_of(manifest)
    _, leaves = ternary_leaves(spec)
    unknown = set(leaves) - set(expected(spec, with_critic=False))
    if unknown:
      raise ValueError(f'ternary leaf {min(unknown)!r} is none of the network')
  except (KeyError, TypeError, AttributeError) as error:
    raise BundleError(f'{path}: manifest is incomplete ({error})') from None
  except (ValueError, OverflowError) as error:
    text = str(error).splitlines()[0][:300]
    raise BundleError(f'{path}: {text}') from None
  return spec


def layout(
  spec: generator.Spec,
  packed: str,
  entries: dict[str, Any],
  payload: int,
  path: pathlib.Path,
) -> dict[str, tuple[str, tuple[int, ...], int]]:
  """Type, shape and offset of each tensor, all as the network demands."""
  granularity, leaves = ternary_leaves(spec)
  wanted: dict[str, tuple[str, list[tuple[int, ...]]]] = {}
  for name, leaf in expected(spec, with_critic=False).items():
    if name in leaves:
      groups = packing.group_count(leaf.shape, granularity)
      codes = (packing.code_bytes(leaf.shape, packed),)
      wanted[f'generator/{name}.codes'] = ('U8', [codes])
      wanted[f'generator/{name}.scales'] = ('F32', [(1, groups), (2, groups)])
    else:
      wanted[f'generator/{name}'] = ('F32', [leaf.shape])
  if spec.critic is not None:
    for name, leaf in expected_critic(spec).items():
      wanted[f'critic/{name}'] = ('F32', [leaf.shape])
  missing, extra = (
    sorted(set(wanted) - set(entries)),
    set(entries) - set(wanted),
  )
  if missing or extra:
    what = f'lacks {missing[0]!r}' if missing else f'has {min(extra)[:80]!r}'
    raise BundleError(f'{path}: {what}, unlike its network {spec.network!r}')
  found, offset = {}, 0
  order = sorted(entries.items(), key=lambda item: _offset(item[1]))
  for name, entry in order:
    kind, shapes = wanted[name]
    try:
      shape = tuple(entry['shape'])
      begin, end = entry['data_offsets']
      good = entry['dtype'] == kind and shape in shapes and len(entry) == 3
    except (KeyError, TypeError, ValueError):
      raise BundleError(f'{path}: entry of {name!r} is malformed') from None
    if not good:
      raise BundleError(
        f'{path}: {name!r} is {str(entry["dtype"])[:10]} {str(shape)[:60]}, '
        f'its network has {kind} {shapes[0]}'
      )
    size = math.prod(shape) * TYPES[kind].itemsize
    if begin != offset or end != offset + size:
      raise BundleError(f'{path}: {name!r} does not lie where it should')
    found[name] = (kind, shape, offset)
    offset = end
  if offset != payload:
    raise BundleError(
      f'{path}: truncated or padded, {payload} bytes of tensors for {offset}'
    )
  return found


def _offset(entry: Any) -> int:
  try:
    begin = entry['data_offsets'][0]
  except (KeyError, TypeError, IndexError):
    return -1
  return begin if isinstance(begin, int) else -1


def expected(spec: generator.Spec, with_critic: bool) -> dict[str, Any]:
  """Shapes of all leaves by name, without taking memory."""
  key = jax.random.key(0)
  leaves = trees.flatten(jax.eval_shape(spec.build().init, key))
  if with_critic and spec.critic is not None:
    leaves |= {f'critic/{k}': v for k, v in expected_critic(spec).items()}
  return leaves


def expected_critic(spec: generator.Spec) -> dict[str, Any]:
  shapes = jax.eval_shape(spec.build_critic().init, jax.random.key(0))
  return trees.flatten(shapes)


def ternary_leaves(spec: generator.Spec) -> tuple[str, tuple[str, ...]]:
  if spec.ternary is None:
    return 'layer', ()
  return spec.ternary['granularity'], tuple(spec.ternary['leaves'])


def packing_of(manifest: dict[str, Any]) -> str:
  """How the ternary leaves are packed; files of before 'trits' do not say."""
  ternary = manifest['ternary'] or {}
  name = _text(ternary.get('packing', '2bit'))
  packing.digits(name)
  return name


def _scheme(value: Any) -> dict[str, Any] | None:
  if value is None:
    return None
  scheme, granularity = value['scheme'], value['granularity']
  if scheme not in ternary_lib.SCHEMES:
    raise ValueError(f'ternary scheme {str(scheme)[:40]!r} is unknown')
  if granularity not in ternary_lib.GRANULARITIES:
    raise ValueError(f'granularity {str(granularity)[:40]!r} is unknown')
  leaves = [_text(leaf) for leaf in value['leaves']]
  if len(set(leaves)) != len(leaves) or len(leaves) > 1000:
    raise ValueError('ternary leaves are repeated or too many')
  return {'scheme': scheme, 'granularity': granularity, 'leaves': leaves}


def _text(value: Any) -> str:
  if not isinstance(value, str) or len(value) > _MAX_TEXT:
    raise ValueError(f'{str(value)[:40]!r} is no short text')
  return value


def _sizes(values: Any) -> tuple[int, ...]:
  good = isinstance(values, list) and 1 <= len(values) <= 4
  if not good or any(
    isinstance(v, bool) or not isinstance(v, int) or not 1 <= v <= 1 << 20
    for v in values
  ):
    raise ValueError(f'{str(values)[:60]} are no sizes')
  return tuple(values)


def _options(values: Any) -> generator.Options:
  if len(values) > 16:
    raise ValueError('too many options')
  plain: dict[str, Any] = {}
  for name, value in values.items():
    if not re.fullmatch(r'[a-z_]{1,40}', name):
      raise ValueError(f'option {name[:40]!r} is no name')
    if isinstance(value, list):
      value = _sizes(value) if len(value) <= 4 else tuple(value[:17])
    elif not isinstance(value, bool | int | float | str):
      raise ValueError(f'option {name!r} is neither number nor text')
    plain[name] = _text(value) if isinstance(value, str) else value
  return generator.freeze(plain)

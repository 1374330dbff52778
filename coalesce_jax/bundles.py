"""Bundles: one generator, one safetensors file; strict, bounded reading.

A bundle comes from another node and is untrusted. Before any memory is taken
for tensors, the header is bounded and parsed here, its manifest is checked
against the registry of networks, and every tensor's name, type, shape and
place is compared with what that network has. Only then is the payload read,
its sha256 compared, and its values checked to be finite. Nothing is pickled.

File: 8 bytes header length, JSON header, tensors. The manifest is a JSON string
under the key 'coalesce_jax' of the header's `__metadata__`.
"""

import json
import math
import os
import pathlib
import re
import struct
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax import files
from coalesce_jax import generators
from coalesce_jax import trees
from coalesce_jax.compress import packing
from coalesce_jax.transforms import ternary as ternary_lib

FORMAT_VERSION = 1
MAX_HEADER = 1 << 20
MAX_BYTES = 1 << 29
_KEY = 'coalesce_jax'
_TYPES = {'F32': np.dtype('<f4'), 'U8': np.dtype('u1')}
_MAX_TEXT = 4096


class BundleError(ValueError):
  """A file is not a bundle that can be trusted; one line says why."""


def save(
  path: str | os.PathLike[str],
  generator: generators.Generator,
  *,
  critic: bool = True,
) -> None:
  """Writes a bundle atomically; equal generators give equal bytes.

  Args:
    path: of the file.
    generator: one generator, without ensemble axes.
    critic: whether its critic, where it has one, goes along.

  Raises:
    ValueError: parameters that do not fit the spec, or are not finite.
  """
  files.write_bytes(path, encode(generator, critic=critic))


def encode(generator: generators.Generator, *, critic: bool = True) -> bytes:
  """The bytes of a bundle; see `save`."""
  spec = generator.spec
  granularity, leaves = _ternary(spec)
  wanted = _expected(spec, with_critic=False)
  params = trees.flatten(generator.params)
  tensors: dict[str, np.ndarray] = {}
  for name in _checked(wanted, params):
    value = np.asarray(params[name], np.float32)
    if name in leaves:
      packed = packing.pack(value, granularity)
      tensors[f'generator/{name}.codes'] = packed.codes
      tensors[f'generator/{name}.scales'] = packed.scales
    else:
      tensors[f'generator/{name}'] = value
  with_critic = critic and generator.critic is not None
  if with_critic:
    values = trees.flatten(generator.critic)
    for name in _checked(_expected_critic(spec), values):
      tensors[f'critic/{name}'] = np.asarray(values[name], np.float32)
  for name, value in tensors.items():
    if value.dtype == np.float32 and not np.all(np.isfinite(value)):
      raise ValueError(f'{name} is not finite')
  names = sorted(tensors)
  blocks = [np.ascontiguousarray(tensors[n]).tobytes() for n in names]
  manifest = {
    'format_version': FORMAT_VERSION,
    'network': spec.network,
    'options': _plain(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    'value_range': [-1.0, 1.0],
    'critic': spec.critic if with_critic else None,
    'critic_options': _plain(spec.critic_options) if with_critic else {},
    'ternary': None if spec.ternary is None else dict(spec.ternary),
    'provenance': dict(spec.provenance),
    'payload_sha256': files.digest(blocks),
  }
  header: dict[str, Any] = {
    '__metadata__': {_KEY: json.dumps(manifest, sort_keys=True)}
  }
  offset = 0
  for name, block in zip(names, blocks, strict=True):
    kind = 'F32' if tensors[name].dtype == np.float32 else 'U8'
    header[name] = {
      'dtype': kind,
      'shape': list(tensors[name].shape),
      'data_offsets': [offset, offset + len(block)],
    }
    offset += len(block)
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 8)
  return struct.pack('<Q', len(text)) + text + b''.join(blocks)


def size_bytes(generator: generators.Generator) -> int:
  """Bytes of the file that ships: header included, critic left out."""
  return len(encode(generator, critic=False))


def load(path: str | os.PathLike[str]) -> generators.Generator:
  """Reads a bundle.

  Raises:
    BundleError: anything at all is wrong with it.
  """
  return _read(pathlib.Path(path))


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
  """The manifest alone, checked but for the payload.

  Raises:
    BundleError: as `load`.
  """
  with _opened(pathlib.Path(path)) as file:
    return _header(file, pathlib.Path(path))[0]


def _read(path: pathlib.Path) -> generators.Generator:
  with _opened(path) as file:
    manifest, entries, start, size = _header(file, path)
    spec = _spec(manifest, path)
    wanted = _layout(spec, entries, size - start, path)
    payload = file.read(size - start + 1)
  if len(payload) != size - start:
    raise BundleError(f'{path}: changed while it was read')
  if files.digest([payload]) != manifest['payload_sha256']:
    raise BundleError(f"{path}: damaged, its sha256 is not the manifest's")
  tensors: dict[str, np.ndarray] = {}
  for name, (kind, shape, offset) in wanted.items():
    array = np.frombuffer(
      payload, _TYPES[kind], count=math.prod(shape), offset=offset
    ).reshape(shape)
    if kind == 'F32' and not np.all(np.isfinite(array)):
      raise BundleError(f'{path}: {name} holds values that are not finite')
    tensors[name] = array
  granularity, leaves = _ternary(spec)
  params: dict[str, Any] = {}
  critic: dict[str, Any] = {}
  for name, leaf in _expected(spec, with_critic=False).items():
    if name in leaves:
      packed = packing.Packed(
        tensors[f'generator/{name}.codes'], tensors[f'generator/{name}.scales']
      )
      if np.any(packed.scales < 0.0):
        raise BundleError(f'{path}: {name} has a negative scale')
      try:
        value = packing.unpack(packed, leaf.shape, granularity)
      except ValueError as error:
        raise BundleError(f'{path}: {name}: {error}') from None
    else:
      value = tensors[f'generator/{name}']
    params[name] = jnp.asarray(value)
  if spec.critic is not None:
    for name in _expected_critic(spec):
      critic[name] = jnp.asarray(tensors[f'critic/{name}'])
  return generators.create(
    spec, trees.unflatten(params), trees.unflatten(critic) if critic else None
  )


def _opened(path: pathlib.Path):
  try:
    if not path.is_file():
      raise BundleError(f'{path}: no such file')
    return open(path, 'rb')
  except OSError as error:
    raise BundleError(f'{path}: cannot be read ({error.strerror})') from None


def _header(file: Any, path: pathlib.Path) -> tuple[dict, dict, int, int]:
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
    manifest = json.loads(metadata[_KEY], object_pairs_hook=_without_duplicates)
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


def _spec(manifest: dict[str, Any], path: pathlib.Path) -> generators.Spec:
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
    spec = generators.Spec(
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
    total = sum(math.prod(x.shape) for x in _expected(spec, True).values())
    if 4 * total > MAX_BYTES:
      raise ValueError(f'{total} parameters are too many')
    _, leaves = _ternary(spec)
    unknown = set(leaves) - set(_expected(spec, with_critic=False))
    if unknown:
      raise ValueError(f'ternary leaf {min(unknown)!r} is none of the network')
  except (KeyError, TypeError, AttributeError) as error:
    raise BundleError(f'{path}: manifest is incomplete ({error})') from None
  except (ValueError, OverflowError) as error:
    text = str(error).splitlines()[0][:300]
    raise BundleError(f'{path}: {text}') from None
  return spec


def _layout(
  spec: generators.Spec,
  entries: dict[str, Any],
  payload: int,
  path: pathlib.Path,
) -> dict[str, tuple[str, tuple[int, ...], int]]:
  """Type, shape and offset of each tensor, all as the network demands."""
  granularity, leaves = _ternary(spec)
  wanted: dict[str, tuple[str, list[tuple[int, ...]]]] = {}
  for name, leaf in _expected(spec, with_critic=False).items():
    if name in leaves:
      groups = packing.group_count(leaf.shape, granularity)
      codes = (packing.code_bytes(leaf.shape),)
      wanted[f'generator/{name}.codes'] = ('U8', [codes])
      wanted[f'generator/{name}.scales'] = ('F32', [(1, groups), (2, groups)])
    else:
      wanted[f'generator/{name}'] = ('F32', [leaf.shape])
  if spec.critic is not None:
    for name, leaf in _expected_critic(spec).items():
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
    size = math.prod(shape) * _TYPES[kind].itemsize
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


def _expected(spec: generators.Spec, with_critic: bool) -> dict[str, Any]:
  """Shapes of all leaves by name, without taking memory."""
  key = jax.random.key(0)
  leaves = trees.flatten(jax.eval_shape(spec.build().init, key))
  if with_critic and spec.critic is not None:
    leaves |= {f'critic/{k}': v for k, v in _expected_critic(spec).items()}
  return leaves


def _expected_critic(spec: generators.Spec) -> dict[str, Any]:
  shapes = jax.eval_shape(spec.build_critic().init, jax.random.key(0))
  return trees.flatten(shapes)


def _checked(wanted: dict[str, Any], given: dict[str, Any]) -> list[str]:
  for name, leaf in wanted.items():
    if name not in given or given[name].shape != leaf.shape:
      shape = given[name].shape if name in given else 'missing'
      raise ValueError(
        f'leaf {name!r} is {shape}, its network has {leaf.shape}'
      )
  extra = set(given) - set(wanted)
  if extra:
    raise ValueError(f'leaf {min(extra)!r} is not in its network')
  return list(wanted)


def _ternary(spec: generators.Spec) -> tuple[str, tuple[str, ...]]:
  if spec.ternary is None:
    return 'layer', ()
  return spec.ternary['granularity'], tuple(spec.ternary['leaves'])


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


def _options(values: Any) -> generators.Options:
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
  return generators.freeze(plain)


def _plain(options: generators.Options) -> dict[str, Any]:
  return {k: list(v) if isinstance(v, tuple) else v for k, v in options}

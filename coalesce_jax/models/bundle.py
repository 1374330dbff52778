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
import struct
from typing import Any

import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import manifest as manifest_lib
from coalesce_jax.models import packing as packing_lib

BundleError = manifest_lib.BundleError


def save(
  path: str | os.PathLike[str],
  generator: generator_lib.Generator,
  *,
  critic: bool = True,
  packing: str = '2bit',
) -> None:
  """Writes a bundle atomically; equal generators give equal bytes.

  Args:
    path: of the file.
    generator: one generator, without ensemble axes.
    critic: whether its critic, where it has one, goes along.
    packing: of ternary leaves, '2bit' or 'trits', 1.6 bits a weight.

  Raises:
    ValueError: parameters that do not fit the spec, or are not finite.
  """
  files.write_bytes(path, encode(generator, critic=critic, packing=packing))


def encode(
  generator: generator_lib.Generator,
  *,
  critic: bool = True,
  packing: str = '2bit',
) -> bytes:
  """The bytes of a bundle; see `save`."""
  spec = generator.spec
  packing_lib.digits(packing)
  granularity, leaves = manifest_lib.ternary_leaves(spec)
  wanted = manifest_lib.expected(spec, with_critic=False)
  params = trees.flatten(generator.params)
  tensors: dict[str, np.ndarray] = {}
  for name in _checked(wanted, params):
    value = np.asarray(params[name], np.float32)
    if name in leaves:
      packed = packing_lib.pack(value, granularity, packing)
      tensors[f'generator/{name}.codes'] = packed.codes
      tensors[f'generator/{name}.scales'] = packed.scales
    else:
      tensors[f'generator/{name}'] = value
  with_critic = critic and generator.critic is not None
  if with_critic:
    values = trees.flatten(generator.critic)
    for name in _checked(manifest_lib.expected_critic(spec), values):
      tensors[f'critic/{name}'] = np.asarray(values[name], np.float32)
  for name, value in tensors.items():
    if value.dtype == np.float32 and not np.all(np.isfinite(value)):
      raise ValueError(f'{name} is not finite')
  names = sorted(tensors)
  blocks = [np.ascontiguousarray(tensors[n]).tobytes() for n in names]
  manifest = {
    'format_version': manifest_lib.FORMAT_VERSION,
    'network': spec.network,
    'options': _plain(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    'value_range': [-1.0, 1.0],
    'critic': spec.critic if with_critic else None,
    'critic_options': _plain(spec.critic_options) if with_critic else {},
    'ternary': None
    if spec.ternary is None
    else {**spec.ternary, 'packing': packing},
    'provenance': dict(spec.provenance),
    'payload_sha256': files.digest(blocks),
  }
  header: dict[str, Any] = {
    '__metadata__': {manifest_lib.KEY: json.dumps(manifest, sort_keys=True)}
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
  size = 8 + len(text) + offset
  if size > manifest_lib.MAX_BYTES:
    raise ValueError(
      f'{size} bytes exceed the limit of a bundle, {manifest_lib.MAX_BYTES}'
    )
  return struct.pack('<Q', len(text)) + text + b''.join(blocks)


def size_bytes(
  generator: generator_lib.Generator, packing: str = '2bit'
) -> int:
  """Bytes of the file that ships: header included, critic left out."""
  return len(encode(generator, critic=False, packing=packing))


def load(path: str | os.PathLike[str]) -> generator_lib.Generator:
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
  with manifest_lib.opened(pathlib.Path(path)) as file:
    return manifest_lib.header(file, pathlib.Path(path))[0]


def _read(path: pathlib.Path) -> generator_lib.Generator:
  with manifest_lib.opened(path) as file:
    manifest, entries, start, size = manifest_lib.header(file, path)
    spec = manifest_lib.spec(manifest, path)
    packing = manifest_lib.packing_of(manifest)
    wanted = manifest_lib.layout(spec, packing, entries, size - start, path)
    payload = file.read(size - start + 1)
  if len(payload) != size - start:
    raise BundleError(f'{path}: changed while it was read')
  if files.digest([payload]) != manifest['payload_sha256']:
    raise BundleError(f"{path}: damaged, its sha256 is not the manifest's")
  tensors: dict[str, np.ndarray] = {}
  for name, (kind, shape, offset) in wanted.items():
    array = np.frombuffer(
      payload, manifest_lib.TYPES[kind], count=math.prod(shape), offset=offset
    ).reshape(shape)
    if kind == 'F32' and not np.all(np.isfinite(array)):
      raise BundleError(f'{path}: {name} holds values that are not finite')
    tensors[name] = array
  granularity, leaves = manifest_lib.ternary_leaves(spec)
  params: dict[str, Any] = {}
  critic: dict[str, Any] = {}
  for name, leaf in manifest_lib.expected(spec, with_critic=False).items():
    if name in leaves:
      packed = packing_lib.Packed(
        tensors[f'generator/{name}.codes'], tensors[f'generator/{name}.scales']
      )
      if np.any(packed.scales < 0.0):
        raise BundleError(f'{path}: {name} has a negative scale')
      try:
        value = packing_lib.unpack(packed, leaf.shape, granularity, packing)
      except ValueError as error:
        raise BundleError(f'{path}: {name}: {error}') from None
    else:
      value = tensors[f'generator/{name}']
    params[name] = jnp.asarray(value)
  if spec.critic is not None:
    for name in manifest_lib.expected_critic(spec):
      critic[name] = jnp.asarray(tensors[f'critic/{name}'])
  return generator_lib.create(
    spec, trees.unflatten(params), trees.unflatten(critic) if critic else None
  )


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


def _plain(options: generator_lib.Options) -> dict[str, Any]:
  return {k: list(v) if isinstance(v, tuple) else v for k, v in options}

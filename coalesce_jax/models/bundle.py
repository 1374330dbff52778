"""Bundles: one generator in one safetensors file, read within strict bounds.

A bundle comes from another node and is untrusted. Its header is bounded
(`header`). Its manifest is checked against the registry of networks and the
table of encodings (`manifest`). The name, type, shape and place of every tensor
are compared with what follows from the manifest. Only then is the payload read,
its sha256 compared, and every leaf decoded and checked to be finite
(`encodings`). Nothing is unpickled.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import math
import os
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import real_arrays
from coalesce_jax.core import trees
from coalesce_jax.models import encodings
from coalesce_jax.models import foreign
from coalesce_jax.models import header as header_lib
from coalesce_jax.models import manifest as manifest_lib
from coalesce_jax.models import packing as packing_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.models import zoo


class BundleError(ValueError):
  """Says in one line why a file cannot be trusted to be a bundle."""


def save(
  path: str | os.PathLike[str],
  generator: translator_lib.Model,
  *,
  critic: bool = True,
  packing: str = '2bit',
  table: encodings.Table = encodings.TABLE,
) -> None:
  """Writes a bundle atomically; equal generators give equal bytes.

  Args:
    path: path of the file.
    generator: one generator or translator, without ensemble axes.
    critic: whether to write the critic too, where the generator has one.
    packing: how to pack ternary leaves: '2bit', or 'trits' for 1.6 bits a
      weight.
    table: the encodings that the generator's spec may name.

  Raises:
    ValueError: parameters that do not fit the spec, are not finite, or that
      their encoding cannot hold; a spec or a size that `load` would refuse.
  """
  data = encode(generator, critic=critic, packing=packing, table=table)
  files.write_bytes(path, data)


def encode(
  generator: translator_lib.Model,
  *,
  critic: bool = True,
  packing: str = '2bit',
  table: encodings.Table = encodings.TABLE,
) -> bytes:
  """Returns the bytes of a bundle; see `save` for arguments and errors."""
  # An unknown packing is an error even if no leaf is ternary.
  packing_lib.digits(packing)
  spec, with_critic = generator.spec, critic and generator.critic is not None
  if not with_critic:
    spec = dataclasses.replace(spec, critic=None, critic_options=())
  contents = manifest_lib.contents(
    spec, spec.encodings, table, {'packing': packing}
  )
  shapes = {name: leaf.shape for name, leaf in contents.leaves.items()}
  tensors: dict[str, np.ndarray] = {}
  for name, value in _fitting(generator.params, shapes).items():
    try:
      held = encodings.encode(contents.leaves[name], value)
    except ValueError as error:
      raise ValueError(f'generator/{name}: {error}') from None
    tensors |= {f'generator/{name}{suffix}': held[suffix] for suffix in held}
  if with_critic:
    for name, value in _fitting(generator.critic, contents.critic).items():
      if not np.all(np.isfinite(value)):
        raise ValueError(f'critic/{name}: not finite')
      tensors[f'critic/{name}'] = value
  wanted = manifest_lib.tensors(contents)
  places, blocks, offset = {}, [], 0
  for name in sorted(tensors):
    blocks.append(np.ascontiguousarray(tensors[name]).tobytes())
    places[name] = header_lib.Place(
      wanted[name].type, tensors[name].shape, offset
    )
    offset += len(blocks[-1])
  manifest = manifest_lib.make(contents, files.digest(blocks))
  # Nothing is written that `load` would refuse.
  manifest_lib.parse(manifest, table)
  return b''.join([header_lib.encode(manifest, places), *blocks])


def size_bytes(generator: translator_lib.Model, packing: str = '2bit') -> int:
  """Counts the bytes of the file that ships: with header, without critic."""
  return len(encode(generator, critic=False, packing=packing))


def load(
  path: str | os.PathLike[str], *, table: encodings.Table = encodings.TABLE
) -> Any:
  """Reads a bundle.

  Args:
    path: path of the file, or 'zoo:NAME' for a bundle of the package.
    table: the encodings that the file may use.

  Returns:
    A `Generator`, or a `Translator` if the bundle translates images.

  Raises:
    BundleError: the file is missing, damaged, too large, or anything but a
      bundle.
  """
  path = _found(path)
  with opened(path) as file:
    header = header_of(path, file)
    contents = manifest_lib.parse(header.manifest, table)
    places = header_lib.layout(
      manifest_lib.tensors(contents), header.entries, header.payload_size
    )
    payload = file.read(header.payload_size)
    if files.digest([payload]) != header.manifest['payload_sha256']:
      raise ValueError("damaged, its sha256 is not the manifest's")
    tensors = {
      name: np.frombuffer(
        payload, header_lib.TYPES[type], math.prod(shape), offset
      ).reshape(shape)
      for name, (type, shape, offset) in places.items()
    }
    return _decoded(contents, tensors)


def inspect(
  path: str | os.PathLike[str], *, table: encodings.Table = encodings.TABLE
) -> dict[str, Any]:
  """Returns the manifest of a bundle; checks all but the payload.

  Args:
    path: path of the file.
    table: the encodings that the file may use.

  Raises:
    BundleError: see `load`.
  """
  path = _found(path)
  with opened(path) as file:
    header = header_of(path, file)
    wanted = manifest_lib.tensors(manifest_lib.parse(header.manifest, table))
    header_lib.layout(wanted, header.entries, header.payload_size)
    return header.manifest


def _found(path: str | os.PathLike[str]) -> str:
  try:
    return zoo.path(path)
  except ValueError as error:
    raise BundleError(str(error)) from None


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
  """Opens a file; errors while it is open become one line that names it.

  Args:
    path: path of the file.

  Raises:
    BundleError: for every OSError and ValueError inside.
  """
  path, name = os.fspath(path), files.shown(path)
  try:
    foreign.check_path(path)
    with open(path, 'rb') as file:
      yield file
  except OSError as error:
    raise BundleError(f'{name}: cannot be read ({error.strerror})') from None
  except (ValueError, OverflowError) as error:
    line = next(iter(str(error).splitlines()), 'damaged')[:600]
    # A header may name characters that no terminal and no file takes.
    line = line.encode(errors='backslashreplace').decode()
    raise BundleError(f'{name}: {line}') from None


def header_of(
  path: str | os.PathLike[str], file: BinaryIO
) -> header_lib.Header:
  """Reads the header of an open file.

  Args:
    path: path of the file.
    file: the open file; the payload comes next.

  Raises:
    ValueError: there is none. A file of another kind is named.
  """
  try:
    return header_lib.read(file)
  except ValueError as error:
    file.seek(0)
    raise ValueError(foreign.described(path, file.read, str(error))) from None


def _decoded(
  contents: manifest_lib.Contents, tensors: Mapping[str, np.ndarray]
) -> translator_lib.Model:
  """Decodes tensors that have the expected types and shapes."""
  params, critic = {}, {}
  for name, leaf in contents.leaves.items():
    suffixes = encodings.tensors(leaf)
    held = {suffix: tensors[f'generator/{name}{suffix}'] for suffix in suffixes}
    try:
      params[name] = jnp.asarray(encodings.decode(leaf, held))
    except ValueError as error:
      raise ValueError(f'generator/{name}: {error}') from None
  for name in contents.critic:
    value = tensors[f'critic/{name}']
    if not np.all(np.isfinite(value)):
      raise ValueError(f'critic/{name}: holds values that are not finite')
    critic[name] = jnp.asarray(value)
  return translator_lib.create(
    contents.spec,
    trees.unflatten(params),
    trees.unflatten(critic) if critic else None,
  )


def _fitting(
  params: Any, shapes: Mapping[str, header_lib.Shape]
) -> dict[str, np.ndarray]:
  """Returns leaves by name as float32, if they have the given shapes."""
  given = trees.flatten(params)
  for name, shape in shapes.items():
    found = given[name].shape if name in given else 'missing'
    if found != shape:
      raise ValueError(f'leaf {name!r} is {found}, its network has {shape}')
  extra = set(given) - set(shapes)
  if extra:
    raise ValueError(f'leaf {min(extra)!r} is not in its network')
  with np.errstate(over='ignore'):
    # What overflows is refused below as not finite.
    return {
      name: real_arrays.convert(given[name], name).astype(np.float32)
      for name in shapes
    }

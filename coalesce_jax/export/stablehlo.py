"""StableHLO programs of generators that unpack their own weights.

`jax.export` writes one program for batches of any size, on CPUs, CUDA and TPUs.
A program of a translator takes images of any size too. The program holds
ternary leaves as constants of four weights a byte, packed as '2bit' of
`packing`, and leaves rounded to 8 bits as constants of one byte a weight. It
turns them into float32 when it runs.

Shapes: B batch, Z latent, H, W, C, D image.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

import jax
from jax import export
from jax.extend.mlir import ir
from jax.extend.mlir import passmanager
from jax.extend.mlir.dialects import stablehlo as dialect
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.export import names
from coalesce_jax.export import stablehlo_translators
from coalesce_jax.models import packing
from coalesce_jax.ops import patch_geometry
from coalesce_jax.transforms import int8

# Ways to write weights -> the encoding whose leaves they write in few bits.
WEIGHTS = names.WEIGHTS['stablehlo']
PLATFORMS = ('cpu', 'cuda', 'tpu')


def encode(generator: Any, weights: str) -> bytes:
  """Encodes a program from latents `[B, Z]` to samples `[B, ...]`.

  That of a translator maps images `[B, H, W, C]` to images `[B, H, W, D]`.
  Equal generators give equal bytes.

  Args:
    generator: one generator or translator, without ensemble axes.
    weights: one of `WEIGHTS`. 'int8' rounds every kernel.

  Raises:
    ValueError: a leaf is not ternary although the spec says so.
  """
  spec = generator.spec
  encoding = WEIGHTS[weights]
  described = {} if encoding is None else spec.encodings[encoding]
  granularity = described.get('granularity', 'layer')
  params = {
    name: np.asarray(value, np.float32)
    for name, value in trees.flatten(generator.params).items()
  }
  packed = {
    name: packing.pack(params[name], granularity)
    for name in described.get('leaves', ())
  }
  rounded = {
    name: tuple(map(np.asarray, int8.codes(params[name])))
    for name in (names.kernels(params) if weights == 'int8' else ())
  }

  def leaf(name: str) -> jax.Array:
    if name in packed:
      return unpack(packed[name], params[name].shape, granularity)
    if name in rounded:
      codes, scale = rounded[name]
      dense = jnp.asarray(codes.astype(np.int8)).astype(jnp.float32)
      return dense * scale.reshape((1,) * (dense.ndim - 1) + (-1,))
    return jnp.asarray(params[name])

  if spec.condition_shape is None:
    (batch,) = export.symbolic_shape('batch')
    start = jax.ShapeDtypeStruct((batch, spec.latent_size), jnp.float32)
    network = generator.network.apply
  else:
    start = stablehlo_translators.condition(spec)
    network = stablehlo_translators.any_size(spec, generator.network)

  def apply(x: jax.Array) -> jax.Array:
    made: jax.Array = network(
      trees.unflatten({name: leaf(name) for name in params}), x
    )
    return made

  with patch_geometry.plain():
    exported = export.export(jax.jit(apply), platforms=PLATFORMS)(start)
  return bytes(_without_locations(exported).serialize())


def load(data: bytes) -> Callable[[np.ndarray], types.Array]:
  """Loads a program as a function of latents `[B, Z]`, or of images.

  Loading a program of another origin is not safe, since a program is code.

  Args:
    data: bytes that `encode` gave.
  """
  return jax.jit(export.deserialize(bytearray(data)).call)


def _without_locations(exported: export.Exported) -> export.Exported:
  """Removes the source locations of operations from a program.

  They name folders of this machine, and differ from one trace to the next.
  """
  version = dialect.get_version_from_compatibility_requirement(
    dialect.StablehloCompatibilityRequirement.WEEK_4
  )
  with ir.Context() as context:
    module = dialect.deserialize_portable_artifact(
      context, exported.mlir_module_serialized
    )
    strip = passmanager.PassManager.parse('builtin.module(strip-debuginfo)')
    strip.run(module.operation)
    data = dialect.serialize_portable_artifact(module, version)
  return dataclasses.replace(exported, mlir_module_serialized=data)


def unpack(
  packed: packing.Packed, shape: tuple[int, ...], granularity: str
) -> jax.Array:
  """Unpacks a '2bit' leaf within a program; see `packing.unpack`.

  The codes are not checked.
  """
  groups = packing.group_count(shape, granularity)
  shifts = jnp.array([0, 2, 4, 6], jnp.uint8)
  codes = (jnp.asarray(packed.codes)[:, None] >> shifts[None]) & 3
  codes = codes.reshape(-1)[: math.prod(shape)].reshape(-1, groups)
  positive, negative = (
    jnp.asarray(packed.scales[row])[None] for row in (0, -1)
  )
  value = jnp.where(codes == 2, -negative, 0.0)
  return jnp.where(codes == 1, positive, value).reshape(shape)

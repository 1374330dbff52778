"""StableHLO programs of generators, which unpack their weights themselves.

`jax.export` keeps the program for any batch, on CPUs, CUDA and TPUs. Ternary
leaves are constants of four weights a byte (see `packing`); that they become
float32 is part of the program.
"""

from collections.abc import Callable
import dataclasses
import math

import jax
from jax import export
from jax.extend.mlir import ir
from jax.extend.mlir import passmanager
from jax.extend.mlir.dialects import stablehlo as dialect
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.ops import patch_geometry

KINDS = ('int2', 'float32')
PLATFORMS = ('cpu', 'cuda', 'tpu')


def encode(generator: generator_lib.Generator, weights: str) -> bytes:
  """A program from latents `[B, Z]` to samples `[B, ...]`, as bytes.

  Args:
    generator: one generator, without ensemble axes.
    weights: one of `KINDS`.

  Raises:
    ValueError: leaves that are not ternary though the spec says so.
  """
  spec = generator.spec
  ternary = spec.ternary if weights == 'int2' else None
  leaves = tuple(ternary['leaves']) if ternary else ()
  granularity = ternary['granularity'] if ternary else 'layer'
  params = {
    name: np.asarray(value, np.float32)
    for name, value in trees.flatten(generator.params).items()
  }
  packed = {name: packing.pack(params[name], granularity) for name in leaves}

  def apply(z: jax.Array) -> jax.Array:
    dense = {
      name: unpack(packed[name], value.shape, granularity)
      if name in packed
      else jnp.asarray(value)
      for name, value in params.items()
    }
    return generator.network.apply(trees.unflatten(dense), z)

  (batch,) = export.symbolic_shape('batch')
  latents = jax.ShapeDtypeStruct((batch, spec.latent_size), jnp.float32)
  with patch_geometry.plain():
    exported = export.export(jax.jit(apply), platforms=PLATFORMS)(latents)
  return bytes(_without_locations(exported).serialize())


def load(data: bytes) -> Callable[[np.ndarray], types.Array]:
  """The function of a program that `encode` gave.

  A program is code: only for one's own files.
  """
  return jax.jit(export.deserialize(bytearray(data)).call)


def _without_locations(exported: export.Exported) -> export.Exported:
  """The same program without the places in source files it was traced from.

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
  """`packing.unpack` within a program, without its checks."""
  groups = packing.group_count(shape, granularity)
  shifts = jnp.array([0, 2, 4, 6], jnp.uint8)
  codes = (jnp.asarray(packed.codes)[:, None] >> shifts[None]) & 3
  codes = codes.reshape(-1)[: math.prod(shape)].reshape(-1, groups)
  positive, negative = (
    jnp.asarray(packed.scales[row])[None] for row in (0, -1)
  )
  value = jnp.where(codes == 2, -negative, 0.0)
  return jnp.where(codes == 1, positive, value).reshape(shape)

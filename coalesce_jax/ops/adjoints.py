"""Defines pairs of linear maps that JAX differentiates into each other."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

# ``(arrays, shape) -> arrays``, linear in the arrays. The arrays may have any
# number of further leading axes.
Map = Callable[[Sequence[jax.Array], Any], Sequence[jax.Array]]


def adjoint_pair(name: str, forward: Map, backward: Map) -> tuple[Map, Map]:
  """Registers two linear maps as each other's adjoint.

  JAX transposes a map made of slices into a sum of padded arrays. An adjoint
  written by hand can visit every value only once.

  Args:
    name: name of the pair in traces.
    forward: a linear map.
    backward: the adjoint of `forward`.

  Returns:
    Both maps, with derivatives of any order and `vmap`. Their second argument
    is static and must be hashable.
  """
  pair = core.Primitive(name), core.Primitive(f'{name}_adjoint')
  runs = (forward, backward)
  for primitive, run, other in zip(pair, runs, pair[::-1], strict=True):
    _define(primitive, run, other)
  return _bound(pair[0]), _bound(pair[1])


def _bound(primitive: core.Primitive) -> Map:
  return lambda arrays, shape: primitive.bind(*arrays, shape=shape)


def _define(
  primitive: core.Primitive, run: Map, adjoint: core.Primitive
) -> None:
  primitive.multiple_results = True

  def apply(*arrays: jax.Array, shape: Any) -> list[jax.Array]:
    return list(run(arrays, shape))

  def abstract(*arrays: Any, shape: Any) -> list[Any]:
    found = jax.eval_shape(functools.partial(apply, shape=shape), *arrays)
    return [jax.core.ShapedArray(a.shape, a.dtype) for a in found]

  def transpose(cotangents: Any, *arrays: Any, shape: Any) -> list[Any]:
    del arrays
    given = [ad.instantiate_zeros(c) for c in cotangents]
    return adjoint.bind(*given, shape=shape)

  def batch(arrays: Any, dims: Any, *, shape: Any) -> tuple[Any, Any]:
    size = next(
      a.shape[d] for a, d in zip(arrays, dims, strict=True) if d is not None
    )
    arrays = [
      jnp.broadcast_to(a, (size, *a.shape))
      if d is None
      else jnp.moveaxis(a, d, 0)
      for a, d in zip(arrays, dims, strict=True)
    ]
    found = primitive.bind(*arrays, shape=shape)
    return found, [0] * len(found)

  primitive.def_impl(jax.jit(apply, static_argnames='shape'))
  primitive.def_abstract_eval(abstract)
  mlir.register_lowering(primitive, mlir.lower_fun(apply, True))
  batching.primitive_batchers[primitive] = batch
  ad.deflinear2(primitive, transpose)

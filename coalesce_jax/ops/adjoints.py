"""Pairs of linear maps that differentiation exchanges for each other."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

# ``(arrays, shape) -> arrays``: linear in the arrays, of which any number of
# axes may come before those that it knows.
Map = Callable[[Sequence[jax.Array], Any], Sequence[jax.Array]]


def adjoint_pair(name: str, forward: Map, backward: Map) -> tuple[Map, Map]:
  """Makes two maps each other's adjoint for derivatives of any order.

  JAX's own transpose of a map of slices is a sum of padded arrays; a handmade
  adjoint may visit every value once.

  Args:
    name: of the pair, in traces.
    forward: a linear map.
    backward: its adjoint; shapes of the results follow from the arguments.

  Returns:
    Both, with derivatives and `vmap`. The second argument is static: hashable.
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

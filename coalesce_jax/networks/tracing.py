"""Records the layers of a network that multiply by a kernel.

A new network needs nothing for it, as long as it is built of the layers of
`layers` and `translation_layers`.

Shapes: B batch, h, w maps, C input channels, F output channels, k kernel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types

Shape = tuple[int, ...]


class Call(NamedTuple):
  """Describes one call of a layer.

  Attributes:
    name: path of the layer, such as 'up_0/conv'. Its kernel is the leaf
      'up_0/conv/kernel'.
    kind: class of the layer, such as 'Conv' or 'Dense'.
    kernel: shape of the kernel.
    read: shape of the input. Maps are `[C, h, w, B]`.
    made: shape of the output.
  """

  name: str
  kind: str
  kernel: Shape
  read: Shape
  made: Shape


def calls(network: types.Network, shape: Shape) -> tuple[Call, ...]:
  """Returns the calls for inputs of a shape, in order; computes nothing.

  Args:
    network: network of Linen modules.
    shape: shape of the inputs, with the batch.

  Raises:
    ValueError: the network has a matrix that no recorded layer holds.
  """
  found: list[Call] = []

  def intercept(
    following: Callable[..., Any], args: Any, kwargs: Any, context: Any
  ) -> Any:
    made, module = following(*args, **kwargs), context.module
    if context.method_name == '__call__' and module.has_variable(
      'params', 'kernel'
    ):
      kernel = module.get_variable('params', 'kernel')
      name, kind = '/'.join(module.path), type(module).__name__
      found.append(
        Call(name, kind, kernel.shape, args[0].shape, made.shape)
      )  # fmt: skip
    return made

  params = jax.eval_shape(network.init, jax.random.key(0))
  with nn.intercept_methods(intercept):
    # A function of its own, because JAX does not trace the same one twice.
    jax.eval_shape(
      lambda params, x: network.apply(params, x),
      params,
      jax.ShapeDtypeStruct(shape, jnp.float32),
    )
  known = {f'{call.name}/kernel' for call in found}
  for name, leaf in trees.flatten(params).items():
    if leaf.ndim > 1 and name not in known:
      raise ValueError(
        f'leaf {name} {leaf.shape} is of no layer whose multiplications can be '
        'counted'
      )
  return tuple(found)

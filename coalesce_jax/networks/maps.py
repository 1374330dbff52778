"""Returns the maps of a network beside its output.

Shapes: C channels, H, W map, B batch.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax

from coalesce_jax.core import types

# ``(params, inputs) -> (output, maps by name of the layer)``.
Applied = Callable[[types.Params, Any], tuple[Any, dict[str, jax.Array]]]


@functools.lru_cache(maxsize=64)
def with_maps(network: types.Network, layers: tuple[str, ...]) -> Applied:
  """Returns the function of a network that also returns what layers make.

  A map is `[C, H, W, B]`, or `[B, C]` of a dense layer, before the activation
  that follows. Of a layer that is applied several times it is the last one.

  Args:
    network: network of Linen modules.
    layers: names of layers, such as 'down_0' or 'norm_1'.
  """

  def apply(
    params: types.Params, inputs: Any
  ) -> tuple[Any, dict[str, jax.Array]]:
    found: dict[str, jax.Array] = {}

    def intercept(
      following: Callable[..., Any], args: Any, kwargs: Any, context: Any
    ) -> Any:
      made = following(*args, **kwargs)
      name = '/'.join(context.module.path)
      if context.method_name == '__call__' and name in layers:
        found[name] = made
      return made

    with nn.intercept_methods(intercept):
      output = network.apply(params, inputs)
    missing = sorted(set(layers) - set(found))
    if missing:
      raise ValueError(f'the network has no layers {missing}')
    return output, found

  return apply

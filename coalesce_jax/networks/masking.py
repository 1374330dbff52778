"""Norms of a network whose statistics leave out channels.

Shapes: C channels of a map.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any

from flax import linen as nn
import jax

from coalesce_jax.core import types
from coalesce_jax.networks import layers
from coalesce_jax.networks import translation_layers

_NORMS = (layers.Norm, translation_layers.Norm)


@functools.lru_cache(maxsize=64)
def with_kept(network: types.Network) -> types.Network:
  """Returns the network of the parameters `{'base': ..., 'kept': ...}`.

  `kept` maps names of norms to arrays `[C]` of 1 and 0, see `layers.Norm`. A
  norm that it does not name counts all channels.

  Args:
    network: network of Linen modules, whose parameters are `base`.
  """

  def apply(params: types.Params, inputs: Any) -> Any:
    kept: Mapping[str, jax.Array] = params['kept']

    def intercept(
      following: Callable[..., Any], args: Any, kwargs: Any, context: Any
    ) -> Any:
      module = context.module
      name = '/'.join(module.path)
      if isinstance(module, _NORMS) and name in kept:
        return following(*args, **kwargs, kept=kept[name])
      return following(*args, **kwargs)

    with nn.intercept_methods(intercept):
      return network.apply(params['base'], inputs)

  return types.Network(network.init, apply)

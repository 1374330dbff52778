"""A transform maps latent parameters, which are trained, to a network's.

It stands between any stage and the network: attached to a network, it is a
network again, so that the game never knows of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import types


class Transform(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: ``(key, params) -> latent``.
    apply: ``latent -> params``, differentiable.
  """

  init: Callable[[types.PRNGKey, types.Params], Any]
  apply: Callable[[Any], types.Params]


def identity() -> Transform:
  """The transform that changes nothing."""
  return Transform(lambda key, params: params, lambda latent: latent)


def compose(outer: Transform, inner: Transform) -> Transform:
  """``outer.apply`` of ``inner.apply``; `inner`'s latent is trained."""

  def init(key: types.PRNGKey, params: types.Params) -> Any:
    key_outer, key_inner = jax.random.split(key)
    return inner.init(key_inner, outer.init(key_outer, params))

  return Transform(init, lambda latent: outer.apply(inner.apply(latent)))


def attach(network: types.Network, transform: Transform) -> types.Network:
  """The network with latent parameters."""

  def init(key: types.PRNGKey) -> Any:
    key_network, key_transform = jax.random.split(key)
    return transform.init(key_transform, network.init(key_network))

  def apply(latent: Any, inputs: jax.Array) -> jax.Array:
    return network.apply(transform.apply(latent), inputs)

  return types.Network(init, apply)


def attached(
  network: types.Network, transform: Transform | None
) -> types.Network:
  """`attach`, or the network itself where there is no transform."""
  return network if transform is None else attach(network, transform)

r"""Defines the mixture of K generators as one network.

Each sample comes from one generator, which is selected at random:

.. math:: G(z, u) = G_{i(u)}(T_{i(u)}(z)), \quad P(i) = w_i

T is the identity, or discriminator optimal transport by the critic of each
generator (see `latent_transport`). All K generators compute a sample and one of
them is used, so that a sample costs K times as much as from one generator.

Shapes: K generators, Z latent of one of them, B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import latent_transport as transport_lib


def select(scores: jax.Array, chance: jax.Array) -> jax.Array:
  """Selects the generator of each sample by the Gumbel-max trick.

  Args:
    scores: log probabilities up to a constant, `[K]`. Their gradient is the
      straight-through gradient of the softmax.
    chance: standard normal latents, `[B, K]`.

  Returns:
    `[K, B]`, 1 for the selected generator and 0 for the others.
  """
  uniform = jax.scipy.stats.norm.cdf(chance)
  gumbel = -jnp.log(-jnp.log(jnp.clip(uniform, 1e-7, 1.0 - 1e-6)))
  soft = jax.nn.softmax(scores[None] + gumbel, -1)
  hard = jax.nn.one_hot(jnp.argmax(soft, -1), soft.shape[-1])
  return (hard + soft - jax.lax.stop_gradient(soft)).T


def masked(chosen: jax.Array, samples: jax.Array) -> jax.Array:
  """Multiplies samples `[..., B, *shape]` by `chosen`, `[..., B]`."""
  more = samples.ndim - chosen.ndim
  return chosen.reshape(*chosen.shape, *[1] * more) * samples


def network(
  base: types.Network,
  count: int,
  latent_size: int,
  critic: types.Network | None = None,
  transport: transport_lib.Config | None = None,
) -> types.Network:
  """Combines K generators of one architecture in one network.

  Args:
    base: the network of each generator.
    count: K.
    latent_size: Z.
    critic: the network of each critic, needed for a transport.
    transport: settings of the transport; None is no transport.

  Returns:
    A network of latents `[B, Z + K]`, whose last K values select a generator.
    Its parameters are `nodes` with leaves `[K, ...]`, the log probabilities
    `scores` `[K]`, and with a transport `critics`, with leaves `[K, ...]`.
  """

  def init(key: types.PRNGKey) -> types.Params:
    keys = jax.random.split(key, (2, count))
    params: dict[str, Any] = {
      'nodes': jax.vmap(base.init)(keys[0]),
      'scores': jnp.zeros(count),
    }
    if critic is not None:
      params['critics'] = jax.vmap(critic.init)(keys[1])
    return params

  def apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    z, chance = inputs[:, :latent_size], inputs[:, latent_size:]

    def add(
      total: jax.Array, one: tuple[types.Params, jax.Array]
    ) -> tuple[jax.Array, None]:
      (own, frozen), chosen = one
      moved = z
      if critic is not None and transport is not None:
        # The critics were trained with the generators, and stay fixed.
        frozen = jax.lax.stop_gradient(frozen)
        moved = transport_lib.move(base, critic, own, frozen, z, transport)
      return total + masked(chosen, base.apply(own, moved)), None

    # One generator after another, so that the program and its memory are as
    # large as for one.
    networks = (params['nodes'], params.get('critics', ()))
    first = jax.tree.map(lambda leaf: leaf[0], params['nodes'])
    shape = jax.eval_shape(base.apply, first, z)
    return jax.lax.scan(
      add,
      jnp.zeros(shape.shape, shape.dtype),
      (networks, select(params['scores'], chance)),
    )[0]

  return types.Network(init, apply)

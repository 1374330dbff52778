r"""The mixture of K generators as one network: one of them makes each sample.

.. math:: G(z, u) = G_{i(u)}(T_{i(u)}(z)), \quad P(i) = w_i

with T the identity, or the transport by the critic of each generator.

Shapes: K generators, Z latent of one of them, B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax import types
from coalesce_jax.networks import transport as transport_lib


def select(
  scores: jax.Array, chance: jax.Array, samples: jax.Array
) -> jax.Array:
  """One of K samples for each latent, by Gumbel-max.

  Args:
    scores: `[K]`, log probabilities up to a constant; they get the
      straight-through gradient of the softmax.
    chance: `[B, K]` standard normal latents.
    samples: `[K, B, ...]`.

  Returns:
    `[B, ...]`.
  """
  uniform = jax.scipy.stats.norm.cdf(chance)
  gumbel = -jnp.log(-jnp.log(jnp.clip(uniform, 1e-7, 1.0 - 1e-6)))
  soft = jax.nn.softmax(scores[None] + gumbel, -1)
  hard = jax.nn.one_hot(jnp.argmax(soft, -1), soft.shape[-1])
  chosen = (hard + soft - jax.lax.stop_gradient(soft)).T  # [K, B]
  chosen = chosen.reshape(*chosen.shape, *[1] * (samples.ndim - 2))
  return jnp.sum(chosen * samples, 0)


def network(
  base: types.Network,
  count: int,
  latent_size: int,
  critic: types.Network | None = None,
  transport: transport_lib.Config | None = None,
) -> types.Network:
  """K generators of one architecture as one.

  Args:
    base: the network of all.
    count: K.
    latent_size: Z.
    critic: of their critics, where there is a transport.
    transport: moves latents by the critics.

  Returns:
    A network of latents `[B, Z + K]`, of which the last K draw. Its parameters
    are `nodes`, leaves `[K, ...]`, log probabilities `scores`, `[K]`, and
    `critics`, as `nodes`, where there is a transport.
  """

  def init(key: types.PRNGKey) -> types.Params:
    keys = jax.random.split(key, (2, count))
    made: dict[str, Any] = {
      'nodes': jax.vmap(base.init)(keys[0]),
      'scores': jnp.zeros(count),
    }
    if critic is not None:
      made['critics'] = jax.vmap(critic.init)(keys[1])
    return made

  def apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    z, chance = inputs[:, :latent_size], inputs[:, latent_size:]

    def one(of: types.Params) -> jax.Array:
      moved = z
      if critic is not None and transport is not None:
        moved = transport_lib.move(
          base, critic, of['nodes'], of['critics'], z, transport
        )
      return base.apply(of['nodes'], moved)

    # One after another: the program is as large as that of one.
    of = {name: value for name, value in params.items() if name != 'scores'}
    return select(params['scores'], chance, jax.lax.map(one, of))

  return types.Network(init, apply)

r"""The mixture of K generators as one network: each sample is of one of them.

.. math:: G(z, u) = G_{i(u)}(T_{i(u)}(z)), \quad P(i) = w_i

with T the identity, or the transport by the critic of each generator. All K
make a sample and one is taken, so that it costs K times as much as one's.

Shapes: K generators, Z latent of one of them, B batch.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import latent_transport as transport_lib


def select(scores: jax.Array, chance: jax.Array) -> jax.Array:
  """Which of K makes the sample of each latent, by Gumbel-max.

  Args:
    scores: `[K]`, log probabilities up to a constant; they get the
      straight-through gradient of the softmax.
    chance: `[B, K]` standard normal latents.

  Returns:
    `[K, B]`, 1 where it does, else 0.
  """
  uniform = jax.scipy.stats.norm.cdf(chance)
  gumbel = -jnp.log(-jnp.log(jnp.clip(uniform, 1e-7, 1.0 - 1e-6)))
  soft = jax.nn.softmax(scores[None] + gumbel, -1)
  hard = jax.nn.one_hot(jnp.argmax(soft, -1), soft.shape[-1])
  return (hard + soft - jax.lax.stop_gradient(soft)).T


def masked(chosen: jax.Array, samples: jax.Array) -> jax.Array:
  """Samples `[..., B, *shape]` times `chosen`, `[..., B]`."""
  more = samples.ndim - chosen.ndim
  return chosen.reshape(*chosen.shape, *[1] * more) * samples


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

    def add(
      total: jax.Array, of: tuple[types.Params, jax.Array]
    ) -> tuple[jax.Array, None]:
      (own, known), chosen = of
      moved = z
      if critic is not None and transport is not None:
        # They know the way to the nodes' data; nothing else trains them.
        known = jax.lax.stop_gradient(known)
        moved = transport_lib.move(base, critic, own, known, z, transport)
      return total + masked(chosen, base.apply(own, moved)), None

    # One after another: program and memory are as large as those of one.
    parts = (params['nodes'], params.get('critics', ()))
    one = jax.tree.map(lambda leaf: leaf[0], params['nodes'])
    shape = jax.eval_shape(base.apply, one, z)
    return jax.lax.scan(
      add,
      jnp.zeros(shape.shape, shape.dtype),
      (parts, select(params['scores'], chance)),
    )[0]

  return types.Network(init, apply)

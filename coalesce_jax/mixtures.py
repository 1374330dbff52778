r"""The mixture of generators itself: all of them kept, one drawn for a sample.

.. math:: G(z, u) = G_{i(u)}(T_{i(u)}(z)), \quad P(i) = w_i

with T the identity, or the transport by the critic that came with each
generator (`refinement`). No training: what a metamodel of one network learns
from, and what an edge node has that can hold every node's generator (and
critic) and pay for the transport of each sample.

Shapes: K nodes, Z latent of a node, B batch, S seeds.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax import generators
from coalesce_jax import refinement
from coalesce_jax import stage
from coalesce_jax import types


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


def mixture(
  nodes: Sequence[generators.Generator],
  weights: Any = None,
  refine: refinement.Config | None = None,
) -> generators.Generator:
  """All nodes as one generator that draws among them.

  Args:
    nodes: K generators of one architecture; `[S, ...]` leaves give S mixtures.
    weights: `[K]`, sum to 1; None is equal weights.
    refine: moves latents by the nodes' critics.

  Returns:
    A generator of latents `[Z + K]`, of which the last K draw, with log
    probabilities `scores` among its parameters. It adapts like any other, all
    nodes together. No bundle can hold it: its spec is that of a node but for
    the latents.

  Raises:
    ValueError: architectures differ, bad weights, a node without a critic where
      latents are to be moved.
  """
  nodes = list(nodes)
  spec = stage.same_architecture(nodes)
  weights = stage.check_weights(weights, len(nodes))
  lead = jax.tree.leaves(nodes[0].params)[0].shape
  lead = lead[: len(lead) - len(jax.tree.leaves(_shapes(spec))[0].shape)]
  scores = jnp.log(jnp.asarray(weights, jnp.float32))
  params: dict[str, Any] = {
    'nodes': tuple(n.params for n in nodes),
    'scores': jnp.broadcast_to(scores, (*lead, len(nodes))),
  }
  critic = None
  if refine is not None:
    if any(n.critic is None for n in nodes):
      raise ValueError('refine needs a critic with every generator')
    params['critics'] = tuple(n.critic for n in nodes)
    critic = spec.build_critic()
  return generators.Generator(
    _network(nodes[0].network, critic, spec.latent_size, len(nodes), refine),
    params,
    dataclasses.replace(spec, latent_size=spec.latent_size + len(nodes)),
    None,
  )


def _shapes(spec: generators.Spec) -> types.Params:
  return jax.eval_shape(spec.build().init, jax.random.key(0))


@functools.lru_cache(maxsize=16)
def _network(
  base: types.Network,
  critic: types.Network | None,
  latent_size: int,
  count: int,
  refine: refinement.Config | None,
) -> types.Network:
  def init(key: types.PRNGKey) -> types.Params:
    keys = jax.random.split(key, (2, count))
    made: dict[str, Any] = {
      'nodes': tuple(base.init(k) for k in keys[0]),
      'scores': jnp.zeros(count),
    }
    if critic is not None:
      made['critics'] = tuple(critic.init(k) for k in keys[1])
    return made

  def one(params: types.Params, k: int, z: jax.Array) -> jax.Array:
    own = params['nodes'][k]
    if refine is not None and critic is not None:
      z = refinement.move(base, critic, own, params['critics'][k], z, refine)
    return base.apply(own, z)

  def apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    z, chance = inputs[:, :latent_size], inputs[:, latent_size:]
    samples = jnp.stack([one(params, k, z) for k in range(count)])
    return select(params['scores'], chance, samples)

  return types.Network(init, apply)

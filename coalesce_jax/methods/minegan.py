r"""Trains MineGAN: miners before frozen generators, with learned selection.

.. math:: G(z, u) = G_{i(u)}(M_{i(u)}(z)), \quad P(i) = \mathrm{softmax}(s)_i

The game on the local samples trains only the miners :math:`M_i` and the scores
`s`. Sec. 3.3 of Wang et al., "MineGAN: effective knowledge transfer from GANs
to target domains with few images", https://arxiv.org/abs/1912.05270.

The paper weights the critic's loss by the probabilities. Here a generator is
selected by its own latents (Gumbel-max). The scores learn by the
straight-through gradient of the softmax. The result is therefore a generator
like any other.

Shapes: K nodes, Z latent of a node, B batch, N local samples, S replicas.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import local_samples
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import frozen_parts
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import mixture
from coalesce_jax.ops import precision
from coalesce_jax.training import loop


@functools.lru_cache(maxsize=16)
def network(
  base: types.Network, latent_size: int, count: int, hidden: int = 128
) -> types.Network:
  """Combines K frozen generators and their miners in one network.

  Args:
    base: the network that all K generators share.
    latent_size: Z.
    count: K.
    hidden: units of the hidden layer of each miner.

  Returns:
    A network of latents `[B, Z + K]`, whose last K values select a generator.
    Its parameters `miners` and `scores` are trained; `mine` freezes its
    parameters `nodes`. A new miner is the identity.
  """

  def init(key: types.PRNGKey) -> types.Params:
    key_nodes, key_miners = jax.random.split(key)
    scale = 1.0 / jnp.sqrt(latent_size)
    inwards = jax.random.normal(key_miners, (count, latent_size, hidden))
    return {
      'nodes': jax.vmap(base.init)(jax.random.split(key_nodes, count)),
      'miners': {
        'inwards': scale * inwards,
        'bias': jnp.zeros((count, 1, hidden)),
        'outwards': jnp.zeros((count, hidden, latent_size)),
        'shift': jnp.zeros((count, 1, latent_size)),
      },
      'scores': jnp.zeros(count),
    }

  def apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    z, chance = inputs[:, :latent_size], inputs[:, latent_size:]
    miners = params['miners']
    inner = jax.nn.relu(
      precision.matmul(z[None], miners['inwards']) + miners['bias']
    )
    mined = (
      z[None] + precision.matmul(inner, miners['outwards']) + miners['shift']
    )  # [K, B, Z]
    samples = jax.vmap(base.apply)(params['nodes'], mined)
    chosen = mixture.select(params['scores'], chance)
    return jnp.sum(mixture.masked(chosen, samples), 0)

  return types.Network(init, apply)


def mine(
  key: types.PRNGKey,
  nodes: Sequence[generator_lib.Generator],
  images: Any,
  *,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Learns where in the latent spaces of the nodes the local samples lie.

  Args:
    key: one key, or `[S]` keys; consumed.
    nodes: K generators of one architecture. The critic starts from that of the
      first one.
    images: local samples, `[N, ...]` or `[S, N, ...]`.
    config: settings; its `anchor` is not used.
    hooks: maps the name of a stage to its effects. The stage is 'mined'.

  Returns:
    A generator of latents `[Z + K]` that holds all nodes, and the history. Its
    spec is that of a node except for the latents, so that it cannot be saved.
  """
  key = keys_lib.typed(key)
  config = fine_tuning.default(nodes[0].spec) if config is None else config
  nodes = list(nodes)
  spec = checks.with_critic(checks.same_architecture(nodes))
  images = local_samples.check(images, spec.image_shape, key.shape)
  mined = network(spec.build(), spec.latent_size, len(nodes))
  spec = dataclasses.replace(spec, latent_size=spec.latent_size + len(nodes))
  result = frozen_parts.train(
    key, nodes, images,
    spec=spec,
    network=mined,
    start=lambda key, params: (
      mined.init(key) | {'nodes': trees.stack(params)}
    ),
    frozen='nodes/.*',
    config=config,
    hooks=loop.hooks_for(hooks, 'mined'),
  )  # fmt: skip
  generator = generator_lib.Generator(
    mined, result.params, spec, result.critics[0]
  )
  return generator, result.history

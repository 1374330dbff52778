r"""MineGAN: miners in front of frozen generators, with learned selection.

.. math:: G(z, u) = G_{i(u)}(M_{i(u)}(z)), \quad P(i) = \mathrm{softmax}(s)_i

Only the miners :math:`M_i` and the scores `s` learn, by the game on the local
samples: Wang et al., "MineGAN: effective knowledge transfer from GANs to target
domains with few images", https://arxiv.org/abs/1912.05270, section 3.3. There
the critic's loss is weighted by the probabilities; here a generator is drawn by
its own latents (Gumbel-max), and the scores learn by the straight-through
gradient of the softmax, so that the result is a generator like any other.

Shapes: K nodes, Z latent of a node, B batch, S seeds.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import local_samples
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import runner
from coalesce_jax.models import checks
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.networks import mixture
from coalesce_jax.ops import precision
from coalesce_jax.training import loop


@functools.lru_cache(maxsize=16)
def network(
  base: types.Network, latent_size: int, count: int, hidden: int = 128
) -> types.Network:
  """K frozen generators behind miners, as one generator.

  Args:
    base: the network of all K.
    latent_size: Z.
    count: K.
    hidden: units of each miner's one hidden layer.

  Returns:
    A network of latents `[B, Z + K]`, of which the last K select. Its
    parameters have `miners` and `scores`, which learn, and `nodes`, which get
    no gradient. A new miner passes latents on as they are.
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
    of = params['miners']
    inner = jax.nn.relu(precision.matmul(z[None], of['inwards']) + of['bias'])
    mined = (
      z[None] + precision.matmul(inner, of['outwards']) + of['shift']
    )  # [K, B, Z]
    nodes = jax.lax.stop_gradient(params['nodes'])
    samples = jax.vmap(base.apply)(nodes, mined)
    chosen = mixture.select(params['scores'], chance)
    return jnp.sum(mixture.masked(chosen, samples), 0)

  return types.Network(init, apply)


def mine(
  key: types.PRNGKey,
  nodes: Sequence[generator.Generator],
  images: Any,
  *,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator.Generator, loop.History]:
  """Learns where in the nodes' latent spaces the local samples are.

  Args:
    key: one key, or `[S]` keys; consumed.
    nodes: K generators of one architecture, the first one's critic is the
      start of the critic.
    images: `[N, ...]` or `[S, N, ...]`.
    config: settings; its anchor is not used.
    hooks: effects; called with 'mined'.

  Returns:
    A generator of latents `[Z + K]` that holds all nodes, and the history. No
    bundle can hold it: its spec is that of a node but for the latents.
  """
  config = fine_tuning.Config() if config is None else config
  nodes, batched = list(nodes), bool(key.ndim)
  spec = checks.with_critic(checks.same_architecture(nodes))
  images = fine_tuning.check_images(images, spec, batched)
  mined = network(spec.build(), spec.latent_size, len(nodes))
  spec = dataclasses.replace(spec, latent_size=spec.latent_size + len(nodes))
  warm = config.warm_critics and nodes[0].critic is not None

  def setup(key, params, critic, images, numbers):
    key_miners, key_critic = jax.random.split(key)
    local, held = local_samples.split_held_out(images, config.held_out)
    inputs = game_lib.inputs(
      (local,),
      held_out=(held,),
      generator_rate=numbers.rate * numbers.generator_rate,
      critic_rate=numbers.rate,
      warmup=config.warmup,
    )
    start = mined.init(key_miners) | {'nodes': params}
    first = critic if warm else spec.build_critic().init(key_critic)
    return runner.Setup(start, trees.stack([first]), inputs)

  params = ensembles.stacked(nodes, batched)
  result = runner.play(
    key,
    setup,
    (
      params,
      nodes[0].critic if warm else (),
      images,
      fine_tuning.by_member(config, key.shape),
    ),
    config=dataclasses.replace(config.game, objective='w1'),
    schedule=config.schedule,
    spec=spec,
    generator=mined,
    hooks=loop.hooks_for(hooks, 'mined'),
  )
  # The moving average of what stands still is what it is, to rounding.
  made = result.generator | {'nodes': params}
  critics = ensembles.first_critic(result.state.critics, batched)
  return generator.Generator(mined, made, spec, critics), result.history

"""Trains what is not frozen of several nodes, against local samples alone.

Shapes: K nodes, N local samples, S replicas.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import jax

from coalesce_jax.core import types
from coalesce_jax.gan import local_samples
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import runner
from coalesce_jax.methods import settings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.transforms import masks


def train(
  key: types.PRNGKey,
  nodes: Sequence[generator_lib.Generator],
  images: Any,
  *,
  spec: generator_lib.Spec,
  network: types.Network,
  start: Callable[[types.PRNGKey, Sequence[types.Params]], types.Params],
  frozen: str,
  config: fine_tuning.Config,
  hooks: loop.Hooks | None,
  score: Callable[..., jax.Array] | None = None,
) -> runner.Trained:
  """Trains a generator and a critic, which starts as that of the first node.

  Args:
    key: one typed key, or `[S]` keys; consumed.
    nodes: K generators, leaves `[S, ...]` for `[S]` keys.
    images: local samples, checked, `[N, ...]` or `[S, N, ...]`.
    spec: names the critic and the latents.
    network: network of the generator.
    start: ``(key, parameters of the K nodes) -> parameters`` of the network.
    frozen: pattern of its leaves that stay.
    config: settings; its `anchor` is not used.
    hooks: effects of the loop.
    score: see `runner.run`.
  """
  critic = spec.build_critic()
  warm = config.warm_critics and nodes[0].critic is not None

  def setup(key, hyper, params, critic_params, images):
    key_start, key_critic = jax.random.split(key)
    local, held = local_samples.split_held_out(images, config.held_out)
    first = critic_params if warm else critic.init(key_critic)
    return runner.Setup(
      generator=start(key_start, params),
      targets=(runner.Target(local, held, 1.0, first),),
      generator_rate=hyper['rate'] * hyper['generator_rate'],
      critic_rate=hyper['rate'],
      warmup=loop.warmup_of(
        config.warmup, settings.WARMUP, config.schedule.steps
      ),
    )

  return runner.run(
    key,
    setup,
    (
      [node.params for node in nodes],
      nodes[0].critic if warm else (),
      images,
    ),
    runner.method(
      dataclasses.replace(config.game, objective='w1'),
      config.schedule,
      spec,
      decay=config.decay,
      generator=network,
      reparam=masks.freeze((frozen,)),
    ),
    hyper=fine_tuning.hyperparameters(config),
    hooks=hooks,
    score=score,
  )

"""Pretrains one WGAN-GP for each node, all nodes and replicas as one program.

Shapes: K nodes, S replicas, N and M samples of a node, T rows of history.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.methods import runner
from coalesce_jax.methods import settings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop

Config = settings.Pretraining


def pretrain(
  key: types.PRNGKey,
  datasets: Sequence[Any],
  spec: generator_lib.Spec,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[list[generator_lib.Generator], loop.History]:
  """Trains one generator and one critic for each node.

  Args:
    key: one key, or `[S]` keys; consumed.
    datasets: K arrays `[N_k, ...]`, uint8 images or float32 samples.
    spec: architecture of all generators and critics.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stage is 'pretrain'.

  Returns:
    K generators with their critics, leaves `[S, ...]` for `[S]` keys, and the
    history, metrics `[T, (S,) K, ...]`.

  Raises:
    ValueError: there is no data, or samples do not have the shape of the spec.
  """
  config = Config() if config is None else config
  if not datasets:
    raise ValueError('no data sets given')
  for k, data in enumerate(datasets):
    if data.shape[1:] != spec.image_shape or len(data) < 2:
      raise ValueError(
        f'node {k}: samples {data.shape} do not fit {spec.image_shape}'
      )
  network, critic = spec.build(), spec.build_critic()

  def setup(key, hyper, train, held, sizes):
    del hyper
    key_generator, key_critic = jax.random.split(key)
    target = runner.Target(
      source=sources.array(train, sizes[0]),
      held_out=sources.array(held, sizes[1]),
      weight=1.0,
      critic=critic.init(key_critic),
    )
    return runner.Setup(network.init(key_generator), (target,))

  trained, history = runner.run_nodes(
    key,
    setup,
    padded(datasets, config.held_out),
    runner.method(config.game, config.schedule, spec, decay=config.decay),
    hooks=loop.hooks_for(hooks, 'pretrain'),
  )
  nodes = [
    generator_lib.Generator(network, each.params, spec, each.critics[0])
    for each in trained
  ]
  return nodes, history


def padded(
  datasets: Sequence[Any], fraction: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Splits the samples of each node and pads them to one size.

  Args:
    datasets: K arrays `[N_k, ...]`.
    fraction: fraction of each array that is held out, at least one sample.

  Returns:
    Training samples `[K, N, ...]`, held-out samples `[K, M, ...]`, and the
    numbers of both for each node, `[K, 2]` int32. Rows beyond these numbers are
    zeros.
  """
  splits = []
  for data in datasets:
    cut = len(data) - max(1, round(fraction * len(data)))
    splits.append((data[:cut], data[cut:]))

  def pad(arrays: Sequence[Any]) -> jax.Array:
    size = max(len(a) for a in arrays)
    out = np.zeros((len(arrays), size, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
      row[: len(array)] = array
    return jnp.asarray(out)

  train, held = zip(*splits, strict=True)
  sizes = jnp.array([[len(a), len(b)] for a, b in splits], jnp.int32)
  return pad(train), pad(held), sizes

"""Pretraining: one WGAN-GP a node, all nodes and seeds as one program.

Shapes: K nodes, S seeds, N samples of a node.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.methods import runner
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.training import loop


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of pretraining.

  Attributes:
    game: the game's settings.
    schedule: the driver's.
    held_out: fraction of each node's samples kept for distance estimates.
  """

  game: game_lib.Config = dataclasses.field(default_factory=game_lib.Config)
  schedule: loop.Schedule = loop.Schedule(steps=20000)
  held_out: float = 0.1


def pretrain(
  key: types.PRNGKey,
  datasets: Sequence[Any],
  spec: generator.Spec,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[list[generator.Generator], loop.History]:
  """Trains one generator and critic a node.

  Args:
    key: one key, or `[S]` keys; consumed.
    datasets: K arrays `[N_k, ...]`, uint8 images or float32 samples.
    spec: architecture of all generators and critics.
    config: settings.
    hooks: effects; called with 'pretrain'.

  Returns:
    K generators with their critics (leaves `[S, ...]` for a batch of keys) and
    the history, metrics `[T, (S,) K, ...]`.

  Raises:
    ValueError: no data, or samples of another shape than the spec's.
  """
  config = Config() if config is None else config
  if not datasets:
    raise ValueError('no data sets given')
  for k, data in enumerate(datasets):
    if data.shape[1:] != spec.image_shape or len(data) < 2:
      raise ValueError(
        f'node {k}: samples {data.shape} do not fit {spec.image_shape}'
      )
  train, held, sizes = _padded(datasets, config.held_out)
  batched, count = bool(key.ndim), len(datasets)
  keys = jax.vmap(lambda k: jax.random.split(k, count))(jnp.atleast_1d(key))
  seeds = keys.shape[0]
  network, critic = spec.build(), spec.build_critic()

  def setup(key, train, held, sizes):
    key_generator, key_critic = jax.random.split(key)
    inputs = game_lib.inputs(
      (sources.array(train, sizes[0]),),
      held_out=(sources.array(held, sizes[1]),),
    )
    critics = jax.tree.map(lambda x: x[None], critic.init(key_critic))
    return runner.Setup(network.init(key_generator), critics, inputs)

  def every(array):
    return jnp.broadcast_to(
      array[None], (seeds, *array.shape)
    ).reshape(-1, *array.shape[1:])  # fmt: skip

  result = runner.play(
    keys.reshape(-1),
    setup,
    (every(train), every(held), every(sizes)),
    config=config.game,
    schedule=config.schedule,
    spec=spec,
    hooks=loop.hooks_for(hooks, 'pretrain'),
  )

  def of_node(tree, k):
    pick = slice(k, None, count) if batched else k
    return jax.tree.map(lambda leaf: leaf[pick], tree)

  critics = ensembles.first_critic(result.state.critics, True)
  nodes = [
    generator.Generator(
      network, of_node(result.generator, k), spec, of_node(critics, k)
    )
    for k in range(count)
  ]
  history = {
    name: value if name == 'step' else _unflatten(value, seeds, count, batched)
    for name, value in result.history.items()
  }
  return nodes, history


def _padded(datasets: Sequence[Any], fraction: float) -> tuple[Any, Any, Any]:
  """Node data of unequal sizes as `[K, N, ...]`, `[K, M, ...]`, `[K, 2]`."""
  parts = []
  for data in datasets:
    cut = len(data) - max(1, round(fraction * len(data)))
    parts.append((data[:cut], data[cut:]))

  def pad(arrays):
    size = max(len(a) for a in arrays)
    out = np.zeros((len(arrays), size, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
      row[: len(array)] = array
    return jnp.asarray(out)

  train, held = zip(*parts, strict=True)
  sizes = jnp.array([[len(a), len(b)] for a, b in parts], jnp.int32)
  return pad(train), pad(held), sizes


def _unflatten(value, seeds, count, batched):
  value = value.reshape(value.shape[0], seeds, count, *value.shape[2:])
  return value if batched else value[:, 0]

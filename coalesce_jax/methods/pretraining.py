"""Pretrains one WGAN-GP for each node, all nodes and replicas as one program.

Shapes: K nodes, S replicas, N and M samples of a node, T rows of history.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.data import samples
from coalesce_jax.gan import sources
from coalesce_jax.methods import convex_start
from coalesce_jax.methods import node_runs
from coalesce_jax.methods import problems
from coalesce_jax.methods import replicas
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
    datasets: K arrays `[N_k, ...]`: images, uint8 or in [-1, 1], or plain
      vectors. See `data.samples.array` for what else is converted.
    spec: architecture of all generators and critics.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stage is 'pretrain';
      before it 'start', unless generators start new.

  Returns:
    K generators with their critics, leaves `[S, ...]` for `[S]` keys, and the
    history, metrics `[T, (S,) K, ...]`.

  Raises:
    ValueError: there is no data, samples do not have the shape of the spec, or
      their values are ambiguous or not finite.
  """
  config = Config() if config is None else config
  datasets = check(datasets, spec)
  network = spec.build()
  args = padded(datasets, config.held_out)
  own: tuple[Any, ...] = ()
  if config.start != 'new':
    own = (_started(key, args, spec, config, loop.hooks_for(hooks, 'start')),)
  trained, history = node_runs.run(
    key,
    setup(spec),
    args,
    runner.method(config.game, config.schedule, spec, decay=config.decay),
    own=own,
    hooks=loop.hooks_for(hooks, 'pretrain'),
  )
  nodes = [
    generator_lib.Generator(network, each.params, spec, each.critics[0])
    for each in trained
  ]
  return nodes, history


def problem(
  images: Any, spec: generator_lib.Spec, config: Config
) -> problems.Problem:
  """Returns the game of one node before it is trained.

  Args:
    images: samples of the node, `[N, ...]`.
    spec: architecture of generator and critic.
    config: settings.

  Raises:
    ValueError: see `pretrain`; a start that is fitted before training.
  """
  if config.start != 'new':
    raise ValueError(f'start {config.start!r}: a problem is not trained yet')
  train, held, sizes = padded(check([images], spec), config.held_out)
  return problems.Problem(
    setup(spec),
    (train[0], held[0], sizes[0]),
    runner.method(config.game, config.schedule, spec, decay=config.decay),
  )


def setup(spec: generator_lib.Spec) -> Callable[..., runner.Setup]:
  """Returns the function that sets up the game of one node.

  Args:
    spec: architecture of the generator and the critic.

  Returns:
    ``(key, hyper, train, held, sizes, params=None) -> Setup`` with arrays of
    one node, see `padded`, and what its generator starts from.
  """
  network, critic = spec.build(), spec.build_critic()

  def ready(key, hyper, train, held, sizes, params=None):
    del hyper
    key_generator, key_critic = jax.random.split(key)
    target = runner.Target(
      source=sources.array(train, sizes[0]),
      held_out=sources.array(held, sizes[1]),
      weight=1.0,
      critic=critic.init(key_critic),
    )
    params = network.init(key_generator) if params is None else params
    return runner.Setup(params, (target,))

  return ready


def check(datasets: Any, spec: generator_lib.Spec) -> list[Any]:
  """Returns the samples of each node as arrays after checking them.

  Args:
    datasets: see `pretrain`.
    spec: architecture of all generators and critics.

  Raises:
    ValueError: see `pretrain`.
  """
  image_shape = tuple(spec.image_shape)
  if hasattr(datasets, 'images') or not (
    isinstance(datasets, list | tuple) or hasattr(datasets, 'shape')
  ):
    kind = type(datasets).__name__
    raise ValueError(f'{kind} given; pass a list of arrays, one a node')
  if not len(datasets):
    raise ValueError('no data sets given')
  if tuple(getattr(datasets, 'shape', ()))[1:] == image_shape:
    raise ValueError(
      f'samples {datasets.shape} are those of one node; pass a list of arrays, '
      'one a node'
    )
  checked = []
  for k, data in enumerate(datasets):
    data = samples.array(data, image_shape, f'node {k}')
    if tuple(data.shape[1:]) != image_shape:
      raise ValueError(
        f'node {k}: samples {tuple(data.shape)} do not fit {image_shape}'
        + samples.advice(tuple(data.shape[1:]), image_shape)
      )
    if len(data) < 2:
      raise ValueError(f'node {k}: {len(data)} samples, at least 2 are needed')
    checked.append(samples.checked(data, image_shape, f'node {k}'))
  return checked


def padded(
  datasets: Sequence[Any], fraction: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Splits the samples of each node and pads them to one size.

  Args:
    datasets: K arrays `[N_k, ...]`. Levels become floats if others are floats.
    fraction: fraction of each array that is held out, at least one sample.

  Returns:
    Training samples `[K, N, ...]`, held-out samples `[K, M, ...]`, and the
    numbers of both for each node, `[K, 2]` int32. Rows beyond these numbers are
    zeros.
  """
  if len({data.dtype for data in datasets}) > 1:
    datasets = [pixels.decode(jnp.asarray(data)) for data in datasets]
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


def _started(
  key: types.PRNGKey,
  args: Any,
  spec: generator_lib.Spec,
  config: Config,
  hooks: loop.Hooks | None,
) -> types.Params:
  """Returns what the generators of all nodes and replicas start from."""
  # Not the keys of training.
  fold = lambda k: jax.random.fold_in(k, 2)  # noqa: E731
  keys, (train, _, sizes) = node_runs.flat(
    replicas.each(fold, keys_lib.typed(key)), args
  )
  steps = config.start_steps
  schedule = loop.Schedule(
    steps, loop.chunk_of(steps, config.schedule.chunk),
    save_seconds=config.schedule.save_seconds,
    fast_compile=config.schedule.fast_compile,
  )  # fmt: skip
  return convex_start.fit(
    keys, spec, train, sizes[:, 0], share=convex_start.SHARES[config.start],
    schedule=schedule, hooks=hooks,
  )  # fmt: skip

r"""Makes rounds of federated learning a task of the training loop.

In a round some nodes are drawn. Each starts from the meta-parameters and takes
T0 local steps on tasks of its own. The server averages what they end with,
weighted by their numbers of images. All nodes of a round are one program,
inside the `vmap` over seeds: some nodes side by side, by a `vmap`, and then the
next.

Shapes: M nodes, m nodes of a round.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.data import augmentation
from coalesce_jax.data import pixels
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated
from coalesce_jax.training import optimizers
from coalesce_jax.training import task as task_lib


class State(NamedTuple):
  """All that changes over rounds.

  Attributes:
    step: rounds done, int32 `[]`.
    meta: meta-parameters, see `meta`.
    moments: state of the server's optimizer.
    personal: gates of each node, with a leading axis M; () if they are shared.
  """

  step: jax.Array
  meta: types.Params
  moments: Any
  personal: Any


@functools.lru_cache(maxsize=32)
def make(
  spec: classifier.Spec, config: settings.Config, shape: tasks.Shape
) -> task_lib.Task:
  """Makes the task; equal arguments give the same one.

  Its inputs are the nodes, `tasks.Nodes`; `init` takes them after the key. A
  step is a round. Metrics are of the first local step, and means over nodes
  that are weighted as the average:

  * `loss` and `accuracy` on the query
  * `open`: share of open channels
  * `gradient_squared`: squared norm of the mean gradient

  Args:
    spec: the network.
    config: the settings. Of the schedule only the number of steps is read.
    shape: sizes of the tasks.
  """
  optimizer = server(config)

  def init(key: types.PRNGKey, nodes: tasks.Nodes) -> State:
    meta = meta_lib.start(spec, config, key)
    personal: Any = ()
    if config.personal_gates:
      count = nodes.counts.shape[0]
      personal = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)),
        meta[gated.GATES],
      )
    return State(jnp.int32(0), meta, optimizer.init(meta), personal)

  def step(
    state: State, nodes: tasks.Nodes, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    some, keys = sample(config, nodes.counts.shape[0], state.step, key)
    few = len(some)
    starts = jax.tree.map(
      lambda leaf: jnp.broadcast_to(leaf, (few, *leaf.shape)), state.meta
    )
    if config.personal_gates:
      mine = jax.tree.map(lambda leaf: leaf[some], state.personal)
      starts = {**starts, gated.GATES: mine}
    ends, gradients, metrics = jax.lax.map(
      lambda given: local(spec, config, shape, nodes, state.step, *given),
      (starts, some, keys),
      batch_size=at_once(config, few),
    )
    mean = functools.partial(weighted_mean, nodes.samples[some])
    average, personal = mean(ends), state.personal
    if config.personal_gates:
      personal = jax.tree.map(
        lambda all_, new: all_.at[some].set(new), personal, ends[gated.GATES]
      )
      shared = jax.tree.map(lambda leaf: jnp.mean(leaf, 0), personal)
      average = {**average, gated.GATES: shared}
    meta, moments = move(config, state.meta, state.moments, average)
    if config.personal_gates:
      meta = {**meta, gated.GATES: average[gated.GATES]}
    squared = optax.tree.norm(mean(gradients), squared=True)
    return State(state.step + 1, meta, moments, personal), {
      **mean(metrics),
      'gradient_squared': squared,
    }

  return task_lib.Task(init, step, lambda state: state.meta)


def sample(
  config: settings.Config, count: int, step: jax.Array, key: types.PRNGKey
) -> tuple[jax.Array, jax.Array]:
  """Samples the nodes of a round.

  Args:
    config: the settings.
    count: M.
    step: rounds done before, int32 `[]`.
    key: key of the run.

  Returns:
    Indices of m nodes, int32 `[m]`, and a key for each, `[m]`.
  """
  key_nodes, key_local = jax.random.split(jax.random.fold_in(key, step))
  few = min(config.nodes, count)
  some = jax.random.permutation(key_nodes, count)[:few]
  return some, jax.random.split(key_local, few)


def at_once(config: settings.Config, few: int) -> int | None:
  """Returns how many of `few` nodes are computed side by side; None is one."""
  chosen = config.at_once
  if not chosen:
    chosen = 1 if jax.default_backend() == 'cpu' else few
  return min(chosen, few) if chosen > 1 else None


def move(
  config: settings.Config,
  meta: types.Params,
  moments: Any,
  average: types.Params,
) -> tuple[types.Params, Any]:
  """Takes the server's step.

  Args:
    config: the settings.
    meta: meta-parameters that the nodes started from.
    moments: state of the server's optimizer.
    average: weighted mean of what the nodes ended with.

  Returns:
    The next meta-parameters and state of the optimizer.
  """
  if config.server == 'average':
    return average, moments
  # In the scale of a gradient: what epsilon of Adam is compared with.
  way = jax.tree.map(lambda a, b: (a - b) / config.local_rate, meta, average)
  updates, moments = server(config).update(way, moments)
  return optax.apply_updates(meta, updates), moments


def server(config: settings.Config) -> optax.GradientTransformation:
  """Returns Adam, with a learning rate of its own for step sizes.

  Rates fall linearly to zero over the second half of the schedule.
  """
  steps = config.schedule.steps
  adam = functools.partial(
    optimizers.adam, beta1=0.9, beta2=0.999, decay_steps=steps - steps // 2,
    constant_steps=steps // 2,
  )  # fmt: skip
  adams = {
    'parameters': adam(config.server_rate),
    'rates': adam(config.server_rate * config.rates_factor),
  }

  def labels(meta: types.Params) -> dict[str, str]:
    return {
      part: 'rates' if part == meta_lib.RATES else 'parameters' for part in meta
    }

  return optax.partition(adams, labels)


def local(
  spec: classifier.Spec,
  config: settings.Config,
  shape: tasks.Shape,
  nodes: tasks.Nodes,
  step: jax.Array,
  meta: types.Params,
  node: jax.Array,
  key: types.PRNGKey,
) -> tuple[types.Params, types.Params, types.Metrics]:
  """Takes the local steps of one node.

  Args:
    spec: the network.
    config: the settings.
    shape: sizes of the tasks.
    nodes: the nodes.
    step: rounds done before, int32 `[]`.
    meta: meta-parameters that the node starts from.
    node: its index, int32 `[]`.
    key: consumed.

  Returns:
    The meta-parameters that it ends with, and gradient and metrics of the first
    step. The gradient has no step sizes of adaptation.
  """

  def one(meta: types.Params, index: jax.Array) -> tuple[Any, Any]:
    key_task, key_noise = jax.random.split(jax.random.fold_in(key, index))
    task = _augmented(
      config, tasks.draw(nodes, node, key_task, shape), key_task
    )
    loss = functools.partial(meta_lib.objective, spec, config)
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(
      meta, task, key_noise, meta_lib.pressure(config, step)
    )
    moved = jax.tree.map(
      lambda leaf, g: leaf - config.local_rate * g, meta, gradient
    )
    kept = {k: v for k, v in gradient.items() if k != meta_lib.RATES}
    return moved, (kept, metrics)

  end, every = jax.lax.scan(one, meta, jnp.arange(config.local_steps))
  return end, *jax.tree.map(lambda leaf: leaf[0], every)


def _augmented(
  config: settings.Config, task: tasks.Task, key: types.PRNGKey
) -> tasks.Task:
  """Augments each image of a task by itself; the images become floats."""
  augment = augmentation.build(config.augment)
  if augment is None:
    return task
  changed = []
  for index, batch in enumerate(task):
    # Not the key itself: the task was drawn by it.
    noise = jax.random.fold_in(key, index)
    images = augment(noise, pixels.decode(batch.images))
    changed.append(batch._replace(images=images))
  return tasks.Task(*changed)


def weighted_mean(samples: jax.Array, tree: Any) -> Any:
  """Returns the mean over the leading axis m of every leaf.

  Args:
    samples: weights, which need not sum to 1: numbers of images, `[m]`.
    tree: a pytree.
  """
  weights = samples / jnp.sum(samples)
  return jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), tree)

"""Scores meta-parameters by tasks of nodes that had no part in training.

Shapes: S seeds, T tasks, F filters of a gated convolution.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.training import scan

# Tasks that are adapted together; more need more memory and are no faster.
_TOGETHER = 16


class Scores(NamedTuple):
  """Scores of tasks after exactly one step.

  Attributes:
    accuracy: on the query, `[T]`.
    before: accuracy on the query before the step, `[T]`.
    macs: mean multiply-accumulates for an image of the query, with the gates'
      own, `[T]`.
    static_accuracy: accuracy of the static network of the support, `[T]`.
    static_macs: its multiply-accumulates, `[T]`.
    gates: share of the support that opens each channel, `[T, F]` of each gated
      convolution.
  """

  accuracy: jax.Array
  before: jax.Array
  macs: jax.Array
  static_accuracy: jax.Array
  static_macs: jax.Array
  gates: tuple[jax.Array, ...]


def draw(
  nodes: tasks.Nodes, shape: tasks.Shape, count: int, seed: int
) -> tasks.Task:
  """Draws tasks of all nodes in turn, `[T, ...]`.

  Args:
    nodes: the nodes.
    shape: sizes of the tasks.
    count: T.
    seed: seed of the draws.
  """
  which = jnp.arange(count) % nodes.counts.shape[0]
  keys = jax.random.split(jax.random.key(seed), count)
  drawn = jax.vmap(lambda i, key: tasks.draw(nodes, i, key, shape))
  return jax.jit(drawn)(which, keys)


def one(
  spec: classifier.Spec,
  config: settings.Config,
  meta: types.Params,
  task: tasks.Task,
  scale: Any = 1.0,
  masks: Any = None,
) -> Scores:
  """Adapts to a task in one step without noise, and scores its query.

  Args:
    spec: the network.
    config: the settings.
    meta: meta-parameters.
    task: the task.
    scale: factor of all step sizes.
    masks: of each gated convolution what stands in the place of its gates,
      `[F]`; None is nothing.

  Returns:
    Scores of one task, without the axis T.
  """
  apply = spec.build().apply
  params = meta_lib.adapt(
    spec, config, meta, task.support, scale=scale, masks=masks
  )
  query = pixels.decode(task.query.images)
  after = apply(params, query, masks=masks)
  gates = apply(params, pixels.decode(task.support.images), masks=masks).gates
  # Padding of nodes with few classes has no say.
  weights = task.support.weights / jnp.sum(task.support.weights)
  shares = tuple(gate @ weights for gate in gates)
  usual = tuple(classifier.often(x).astype(jnp.float32) for x in shares)
  fixed = apply(params, query, masks=usual)
  whole = jnp.sum(task.query.weights)
  used = classifier.used(spec, after.gates)
  return Scores(
    meta_lib.accuracy(after.logits, task.query),
    meta_lib.accuracy(apply(meta, query, masks=masks).logits, task.query),
    jnp.sum(used * task.query.weights) / whole,
    meta_lib.accuracy(fixed.logits, task.query),
    classifier.used(spec, fixed.gates, static=True)[0],
    shares,
  )


@functools.lru_cache(maxsize=32)
def scorer(
  spec: classifier.Spec, config: settings.Config, batched: bool
) -> Callable[..., Scores]:
  """Returns ``(meta, tasks, scale=1.0, masks=None) -> Scores`` of all tasks.

  Args:
    spec: the network.
    config: the settings.
    batched: whether meta-parameters and scores have a leading axis S. Tasks
      have none; masks have it, too, before an axis T.
  """
  return _compiled(_all_of(spec, config, batched), config)


def error(
  spec: classifier.Spec,
  config: settings.Config,
  drawn: tasks.Task,
  batched: bool,
) -> Callable[[types.Params], jax.Array]:
  """Returns ``meta -> []`` or `[S]`, the mean error after one step.

  Args:
    spec: the network.
    config: the settings.
    drawn: tasks of validation nodes, `[T, ...]`.
    batched: whether meta-parameters have a leading axis S.
  """
  all_ = _all_of(spec, config, batched)

  # Compiled for itself: nothing but the accuracy is computed.
  def mean(meta: types.Params, drawn: tasks.Task) -> jax.Array:
    return 1.0 - jnp.mean(all_(meta, drawn).accuracy, -1)

  compiled = _compiled(mean, config)
  return lambda meta: compiled(meta, drawn)


def _all_of(
  spec: classifier.Spec, config: settings.Config, batched: bool
) -> Callable[..., Scores]:
  """Returns the function of `scorer`, which is not compiled."""

  def score(meta, drawn, scale=1.0, masks=None):
    def each(given):
      task, mask = given
      return one(spec, config, meta, task, scale, mask)

    count = drawn.query.labels.shape[0]
    # A rest would be a program of its own.
    some = max(n for n in range(1, _TOGETHER + 1) if count % n == 0)
    return jax.lax.map(each, (drawn, masks), batch_size=some)

  def all_(meta, drawn, scale=1.0, masks=None):
    if not batched:
      return score(meta, drawn, scale, masks)
    if masks is None:
      return jax.vmap(lambda m: score(m, drawn, scale))(meta)
    return jax.vmap(lambda m, k: score(m, drawn, scale, k))(meta, masks)

  return all_


def _compiled(fn: Callable[..., Any], config: settings.Config) -> Any:
  return scan.once(fn) if config.schedule.fast_compile else jax.jit(fn)

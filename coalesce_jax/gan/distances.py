"""Estimates the distances to the sources and forms the generator's loss.

Shapes: K critics, B batch. Distances are in the units of the samples.
"""

from collections.abc import Callable
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.data import augmentation
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import critics as critics_lib
from coalesce_jax.gan import objectives
from coalesce_jax.gan import sources
from coalesce_jax.gan import state as state_lib
from coalesce_jax.gan.adversarial import base
from coalesce_jax.parallel import batch_shards


class Estimate(NamedTuple):
  """The distance estimates of one step.

  Attributes:
    now: distances by the critics' scores of held-out samples, `[K]`.
    mean: moving average of `now`, `[K]`, without bias correction.
    coefficients: the coefficients c of the objective, `[K]`.
  """

  now: jax.Array
  mean: jax.Array
  coefficients: jax.Array


class Distances(NamedTuple):
  """The distance estimates of a game, as pure functions.

  ``state`` is the state after the critic updates of the step.

  Attributes:
    held_out: ``(state, inputs, prior, key for the samples, key for the
      augmentation) -> [K]``, the critics' mean scores of held-out real samples.
    adversary: ``(state, inputs, held_out, aux, key, shared) -> (fakes -> (loss,
      Estimate))``. The inner function is the critics' part of the generator's
      loss; ``aux`` is that of the last critic update. Without ``held_out`` the
      estimate is the gap of that update.
    update: ``(state, inputs, Estimate) -> (state, metrics)``. Stores the
      averages and updates the objective.
  """

  held_out: Callable[..., jax.Array]
  adversary: Callable[..., Callable[[jax.Array], tuple[jax.Array, Estimate]]]
  update: Callable[..., tuple[state_lib.State, types.Metrics]]


def make(
  config: config_lib.Config,
  critics: critics_lib.Critics,
  adversarial: base.Adversarial,
  objective: objectives.Objective,
) -> Distances:
  """Builds the distance estimates.

  Args:
    config: settings of the game.
    critics: the critics of the game.
    adversarial: defines how scores become distances and what the generator
      descends.
    objective: defines the coefficients that follow from the distances.
  """
  augment = augmentation.build(config.augment) or (lambda key, x: x)
  decay = config.w1_smoothing

  def scores(
    state: state_lib.State, samples: jax.Array, shared: bool
  ) -> jax.Array:
    return critics.scores(state.critics, state.critics_frozen, samples, shared)

  def held_out(
    state: state_lib.State,
    inputs: state_lib.Inputs,
    prior: Any,
    key_draw: types.PRNGKey,
    key_augment: types.PRNGKey,
  ) -> jax.Array:
    size = batch_shards.size(config.batch_size)
    held = sources.draw(
      inputs.held_out, key_draw, size, prior if config.paired else None
    )
    held = jax.vmap(augment, (None, 0))(key_augment, held)
    return batch_shards.mean(means(scores(state, held, False)))

  def adversary(
    state: state_lib.State,
    inputs: state_lib.Inputs,
    held: jax.Array | None,
    aux: dict[str, jax.Array],
    key: types.PRNGKey,
    shared: bool,
  ) -> Callable[[jax.Array], tuple[jax.Array, Estimate]]:
    augmented = augment if shared else jax.vmap(augment, (None, 0))
    slope = aux['slope']

    def loss(fakes: jax.Array) -> tuple[jax.Array, Estimate]:
      fake_scores = scores(state, augmented(key, fakes), shared)
      if held is None:
        gap = aux['gap']
      else:
        gap = held - batch_shards.mean(means(fake_scores))
      now = jax.lax.stop_gradient(adversarial.distance(gap, slope))
      mean = smoothed(state.w1, now, decay)
      c = objective.coefficients(
        state.objective, corrected(mean, decay, state.step + 1),
        inputs.weights, inputs.radii,
      )  # fmt: skip
      effective = jax.lax.stop_gradient(c / adversarial.steepness(slope))
      losses = jax.vmap(adversarial.generator_loss)(fake_scores)
      return jnp.sum(effective * losses), Estimate(now, mean, c)

    return loss

  def update(
    state: state_lib.State, inputs: state_lib.Inputs, estimate: Estimate
  ) -> tuple[state_lib.State, types.Metrics]:
    count = state.step + 1
    w1 = corrected(estimate.mean, decay, count)
    warming = count <= jnp.maximum(inputs.warmup, 1)
    start_w1 = jnp.where(warming, w1, state.start_w1)
    after = objective.update(state.objective, w1, inputs.radii)
    after = jax.tree.map(
      lambda old, new: jnp.where(warming, old, new), state.objective, after
    )
    metrics = {
      'w1': estimate.now,
      'w1_smooth': w1,
      'coefficient': estimate.coefficients,
      'objective': objective.value(w1, inputs.weights),
      **objective.metrics(after, w1, inputs.radii),
    }
    if config.segment and sources.total(inputs.sources) == 2:
      metrics |= segment(w1, start_w1)
    state = state._replace(w1=estimate.mean, start_w1=start_w1, objective=after)
    return state, metrics

  return Distances(held_out, adversary, update)


def means(scores: jax.Array) -> jax.Array:
  """Returns the mean score of each critic, `[K]`.

  Args:
    scores: `[K, B]`, or `[K, B, ...]` of critics with several scores for each
      sample.
  """
  return scores.mean(tuple(range(1, scores.ndim)))


def smoothed(before: jax.Array, now: jax.Array, decay: float) -> jax.Array:
  """Returns the moving average after one more estimate, `[K]`."""
  return decay * before + (1.0 - decay) * now


def corrected(mean: jax.Array, decay: float, count: jax.Array) -> jax.Array:
  """Returns a moving average without the bias of its start at 0.

  Algorithm 1 of Kingma and Ba, https://arxiv.org/abs/1412.6980.

  Args:
    mean: `smoothed` after `count` estimates, `[K]`.
    decay: decay of the average.
    count: number of estimates in the average, at least 1.
  """
  # In float32 the difference 1 - decay^count would lose digits near 1.
  rate = math.log(decay) if decay else -math.inf
  return -mean / jnp.expm1(rate * count.astype(jnp.float32))


def segment(w1: jax.Array, start_w1: jax.Array) -> types.Metrics:
  """Returns where a generator lies on the segment between two sources.

  Args:
    w1: distances to both sources, `[2]`.
    start_w1: the same distances at the end of the warm-up. If the run started
      at one source, the larger one is the distance between the sources.

  Returns:
    `position`, 0 at the first source and 1 at the second. A negative estimate
    counts as 0; without a positive one there is no position, which is NaN.
    `distance`, between the sources. `residual`, the sum of `w1` minus
    `distance`, which is 0 on the segment.
  """
  length = jnp.max(start_w1)
  ends = jnp.maximum(w1, 0.0)
  return {
    # Where both are 0, 0 / 0 is NaN.
    'position': ends[0] / (ends[0] + ends[1]),
    'distance': length,
    'residual': w1[0] + w1[1] - length,
  }

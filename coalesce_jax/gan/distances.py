"""Distances to the sources: estimated, smoothed, and what they pull with.

Shapes: K critics, B batch. Distances in the units of the samples.
"""

from collections.abc import Callable
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
  """What one look at the fakes says.

  Attributes:
    now: distances by the critics' held-out scores, `[K]`.
    mean: their moving average, `[K]`, without bias correction.
    coefficients: c of the objective, `[K]`.
  """

  now: jax.Array
  mean: jax.Array
  coefficients: jax.Array


class Distances(NamedTuple):
  """Three pure functions; `state` is that after the critics' updates.

  Attributes:
    held_out: ``(state, inputs, prior, key) -> [K]``, mean scores of held-out
      real samples.
    adversary: ``(state, inputs, held, slope, key) -> (fakes -> (loss,
      Estimate))``: the critics' part of the generator's loss.
    update: ``(state, inputs, Estimate) -> (state, metrics)``.
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
  """Returns the estimates of a game.

  Args:
    config: settings of the game.
    critics: its critics.
    adversarial: how scores become distances, and what the generator descends.
    objective: which coefficients the distances give.
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
    return batch_shards.mean(scores(state, held, False).mean(-1))

  def adversary(
    state: state_lib.State,
    inputs: state_lib.Inputs,
    held: jax.Array,
    slope: jax.Array,
    key: types.PRNGKey,
    shared: bool,
  ) -> Callable[[jax.Array], tuple[jax.Array, Estimate]]:
    seen = augment if shared else jax.vmap(augment, (None, 0))

    def loss(fakes: jax.Array) -> tuple[jax.Array, Estimate]:
      found = scores(state, seen(key, fakes), shared)
      whole = batch_shards.mean(jax.lax.stop_gradient(found.mean(-1)))
      now = jax.lax.stop_gradient(adversarial.distance(held - whole, slope))
      mean = smoothed(state.w1, now, decay)
      c = objective.coefficients(
        state.objective, corrected(mean, decay, state.step + 1),
        inputs.weights, inputs.radii,
      )  # fmt: skip
      pull = jax.lax.stop_gradient(c / adversarial.steepness(slope))
      losses = jax.vmap(adversarial.generator_loss)(found)
      return jnp.sum(pull * losses), Estimate(now, mean, c)

    return loss

  def update(
    state: state_lib.State, inputs: state_lib.Inputs, found: Estimate
  ) -> tuple[state_lib.State, types.Metrics]:
    count = state.step + 1
    w1 = corrected(found.mean, decay, count)
    warming = count <= jnp.maximum(inputs.warmup, 1)
    start_w1 = jnp.where(warming, w1, state.start_w1)
    after = objective.update(state.objective, w1, inputs.radii)
    after = jax.tree.map(
      lambda old, new: jnp.where(warming, old, new), state.objective, after
    )
    metrics = {
      'w1': found.now,
      'w1_smooth': w1,
      'coefficient': found.coefficients,
      'objective': objective.value(w1, inputs.weights),
      **objective.metrics(after, w1, inputs.radii),
    }
    if config.segment and sources.total(inputs.sources) == 2:
      metrics |= segment(w1, start_w1)
    state = state._replace(w1=found.mean, start_w1=start_w1, objective=after)
    return state, metrics

  return Distances(held_out, adversary, update)


def smoothed(before: jax.Array, now: jax.Array, decay: float) -> jax.Array:
  """Returns the moving average after one more estimate, `[K]`."""
  return decay * before + (1.0 - decay) * now


def corrected(mean: jax.Array, decay: float, count: jax.Array) -> jax.Array:
  """Returns a moving average that began at 0, without its bias to 0.

  Algorithm 1 of Kingma and Ba, https://arxiv.org/abs/1412.6980.

  Args:
    mean: `smoothed` after `count` estimates, `[K]`.
    decay: of the average.
    count: estimates in it, at least 1.
  """
  return mean / (1.0 - decay ** count.astype(jnp.float32))


def segment(w1: jax.Array, start_w1: jax.Array) -> types.Metrics:
  """Returns where on the segment between two sources a generator lies.

  Args:
    w1: distances to both, `[2]`.
    start_w1: the same at the end of the warm-up. Where a run starts at one
      source, the larger one is the distance between the two.

  Returns:
    `position`, 0 at the first source and 1 at the second; `distance` between
    them; `residual`, by how much the way through the generator is longer.
  """
  length = jnp.max(start_w1)
  return {
    'position': w1[0] / jnp.maximum(w1[0] + w1[1], 1e-12),
    'distance': length,
    'residual': w1[0] + w1[1] - length,
  }

"""Defines the interface of an adversarial loss.

A critic has one score for each sample, `[B]`, or several, `[B, ...]`, such as
those of patches of an image. Means are then over samples and patches: a loss of
single scores is averaged over all scores (the loss of every patch, not the loss
of a mean score).

Shapes: B batch. Gaps are differences of mean scores.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types

Critic = Callable[[jax.Array], jax.Array]


def unchanged(gap: jax.Array, slope: jax.Array) -> jax.Array:
  """Returns the gap, for losses whose scores have no unit of length."""
  del slope
  return gap


def level(slope: jax.Array) -> jax.Array:
  """Returns 1: no slope correction."""
  return jnp.ones_like(slope)


class Adversarial(NamedTuple):
  """The losses of one critic and the generator, as pure functions.

  The mean gradient norm of a critic is called `slope` here and in the metrics.

  Attributes:
    critic_loss: ``(critic, real [B, ...], fake [B, ...], key) -> (loss, aux)``,
      what a critic descends. `aux` has the scalars `gap`, `penalty` and
      `slope`.
    generator_loss: ``scores of fakes [B, ...] -> scalar``, what the generator
      descends, before it is multiplied by the coefficient of the critic.
    distance: ``(gap, slope) -> distance`` between real samples and fakes,
      estimated from scores of held-out samples.
    steepness: ``slope -> divisor`` of the critic's coefficient. This slope
      correction keeps a critic of large gradient norm from counting for more
      than its weight.
  """

  critic_loss: Callable[
    [Critic, jax.Array, jax.Array, types.PRNGKey],
    tuple[jax.Array, dict[str, Any]],
  ]
  generator_loss: Callable[[jax.Array], jax.Array]
  distance: Callable[[jax.Array, jax.Array], jax.Array] = unchanged
  steepness: Callable[[jax.Array], jax.Array] = level


def from_scores(
  real_loss: Callable[[jax.Array], jax.Array],
  fake_loss: Callable[[jax.Array], jax.Array],
  generator_loss: Callable[[jax.Array], jax.Array],
  joined: bool = False,
) -> Adversarial:
  """Returns losses that are means of functions of single scores.

  Args:
    real_loss: the critic's loss at scores of real samples.
    fake_loss: the critic's loss at scores of fakes.
    generator_loss: the generator's loss at scores of fakes.
    joined: whether a critic scores real samples and fakes in one batch, see
      `gan.config.Config.joined_scores`.
  """

  def critic_loss(
    critic: Critic, real: jax.Array, fake: jax.Array, key: types.PRNGKey
  ) -> tuple[jax.Array, dict[str, Any]]:
    del key
    if joined:
      scores = critic(jnp.concatenate([real, fake]))
      reals, fakes = scores[: len(real)], scores[len(real) :]
    else:
      reals, fakes = critic(real), critic(fake)
    aux = {
      'gap': jnp.mean(reals) - jnp.mean(fakes),
      'penalty': jnp.float32(0.0),
      'slope': jnp.float32(1.0),
    }
    return jnp.mean(real_loss(reals)) + jnp.mean(fake_loss(fakes)), aux

  return Adversarial(
    critic_loss, lambda scores: jnp.mean(generator_loss(scores))
  )

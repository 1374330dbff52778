r"""Wasserstein GAN losses: the dual gap and gradient penalties.

The Kantorovich-Rubinstein dual of the Wasserstein-1 distance is

.. math:: W_1(\mu, \nu) = \max_{\mathrm{Lip}(f) \le 1} E_\mu f - E_\nu f.

A penalty on gradients at random points between real and fake samples replaces
the Lipschitz constraint. The mean gradient norm at these points is called the
slope.

The critic f of a sample is the mean of its scores, where a critic has several
scores for each sample, `[B, ...]`.

Shapes: B batch. Distances are in the units of the samples.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import scores as scores_lib
from coalesce_jax.core import types
from coalesce_jax.gan.adversarial import base
from coalesce_jax.parallel import batch_shards


def dual_gap(
  critic: base.Critic, real: jax.Array, fake: jax.Array
) -> jax.Array:
  """Returns the estimate of W1, a lower bound where `critic` is 1-Lipschitz.

  Args:
    critic: maps `[B, ...]` to scores, `[B]` or `[B, ...]`.
    real: `[B, ...]`.
    fake: `[B, ...]`.
  """
  if batch_shards.one_core():
    # One joint batch takes half as many products.
    scores = critic(jnp.concatenate([real, fake]))
    return jnp.mean(scores[: len(real)]) - jnp.mean(scores[len(real) :])
  return jnp.mean(critic(real)) - jnp.mean(critic(fake))


def gradient_penalty(
  critic: base.Critic,
  points: jax.Array,
  *,
  penalty: str = 'two_sided',
  norm: str = 'sample',
) -> tuple[jax.Array, jax.Array]:
  """Returns the mean penalty on the gradient norm, and the mean gradient norm.

  Args:
    critic: maps `[B, ...]` to scores, `[B]` or `[B, ...]`, samples independent
      of each other.
    points: where gradients are taken, `[B, ...]`.
    penalty: `'two_sided'`, `(|g| - 1)^2`, Eq. 3 of Gulrajani et al.,
      https://arxiv.org/abs/1704.00028; `'one_sided'`, `max(0, |g| - 1)^2`,
      Eq. 8 of Petzka et al., https://arxiv.org/abs/1709.08894.
    norm: `'sample'` takes the norm over a whole sample, `'channel'` over the
      last axis at each pixel. The latter is no Lipschitz constraint in the norm
      of the samples and serves comparisons with published code.

  Returns:
    Two scalars: the penalty, and the slope, which is the mean norm of a whole
    sample's gradient.
  """
  # Samples are independent: the gradient of the sum holds each one's.
  gradient = jax.grad(lambda x: jnp.sum(scores_lib.of_samples(critic(x))))(
    points
  )
  squared = jnp.sum(gradient * gradient, -1)
  whole = jnp.sum(squared, tuple(range(1, squared.ndim)))
  # The constant keeps the derivative of the root finite at zero.
  slope = jnp.sqrt(whole + 1e-12)
  size = slope if norm == 'sample' else jnp.sqrt(squared + 1e-12)
  excess = size - 1.0
  if penalty == 'one_sided':
    excess = jnp.maximum(excess, 0.0)
  return jnp.mean(excess * excess), jnp.mean(slope)


def interpolate(
  key: types.PRNGKey, real: jax.Array, fake: jax.Array
) -> jax.Array:
  """Returns uniformly random points on the segments between paired samples.

  Args:
    key: consumed.
    real: `[B, ...]`.
    fake: `[B, ...]`.
  """
  ones = (1,) * (real.ndim - 1)
  t = batch_shards.rows(
    lambda n: jax.random.uniform(key, (n, *ones), real.dtype), real.shape[0]
  )
  return t * real + (1.0 - t) * fake


def critic_loss(
  critic: base.Critic,
  real: jax.Array,
  fake: jax.Array,
  key: types.PRNGKey,
  *,
  penalty_weight: float = 10.0,
  penalty: str = 'two_sided',
  norm: str = 'sample',
) -> tuple[jax.Array, dict[str, Any]]:
  """Returns the loss that a critic descends: penalty minus dual gap.

  Args:
    critic: maps `[B, ...]` to scores, `[B]` or `[B, ...]`.
    real: `[B, ...]`.
    fake: `[B, ...]`.
    key: consumed, for the points of the penalty.
    penalty_weight: weight of the penalty.
    penalty: see `gradient_penalty`; 'none' for critics that are 1-Lipschitz by
      construction (`networks.lipschitz`).
    norm: see `gradient_penalty`.

  Returns:
    The loss, and the scalars `gap`, `penalty` and `slope`.
  """
  gap = dual_gap(critic, real, fake)
  points = interpolate(key, real, fake)
  if penalty == 'none':
    value, slope = jnp.float32(0.0), jnp.float32(1.0)
  else:
    value, slope = gradient_penalty(critic, points, penalty=penalty, norm=norm)
  aux = {'gap': gap, 'penalty': value, 'slope': slope}
  return penalty_weight * value - gap, aux


def distance(gap: jax.Array, slope: jax.Array) -> jax.Array:
  """Returns the estimate of W1 by a penalised critic: its gap over its slope.

  A penalty does not hold a critic at slope 1. Let `W` be the true distance and
  `g` the slope, the same everywhere. Then `g W - weight (g - 1)^2` is largest
  at `g = 1 + W / (2 weight)`, and the gap overstates `W` by the factor `g`.
  Gaps of critics of smaller slope stay unchanged: they are lower bounds.

  Args:
    gap: difference of mean scores, `[]` or `[K]`.
    slope: mean gradient norm, of the same shape.
  """
  return gap / jnp.maximum(slope, 1.0)


def make(
  *,
  penalty_weight: float = 10.0,
  penalty: str = 'two_sided',
  norm: str = 'sample',
) -> base.Adversarial:
  """Returns the losses of a Wasserstein GAN.

  Args:
    penalty_weight: weight of the penalty.
    penalty: kind of penalty, see `critic_loss`.
    norm: norm of the gradient, see `gradient_penalty`. The slope correction of
      coefficients applies only with 'sample'.
  """

  def loss(
    critic: base.Critic, real: jax.Array, fake: jax.Array, key: types.PRNGKey
  ) -> tuple[jax.Array, dict[str, Any]]:
    return critic_loss(
      critic, real, fake, key,
      penalty_weight=penalty_weight, penalty=penalty, norm=norm,
    )  # fmt: skip

  def steepness(slope: jax.Array) -> jax.Array:
    return jnp.maximum(slope, 1.0)

  return base.Adversarial(
    critic_loss=loss,
    generator_loss=lambda scores: -jnp.mean(scores),
    distance=distance,
    steepness=steepness if norm == 'sample' else base.level,
  )

r"""Wasserstein GAN losses: dual gap and gradient penalties.

The Kantorovich-Rubinstein dual of the Wasserstein-1 distance,

.. math:: W_1(\mu, \nu) = \max_{\mathrm{Lip}(f) \le 1} E_\mu f - E_\nu f,

with the Lipschitz constraint replaced by a penalty on gradients at random
points between real and fake samples.

Shapes: B batch. Distances are in the units of the samples.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan.adversarial import base
from coalesce_jax.parallel import batch_shards

PENALTIES = ('two_sided', 'one_sided', 'none')
NORMS = ('sample', 'channel')


def dual_gap(
  critic: base.Critic, real: jax.Array, fake: jax.Array
) -> jax.Array:
  """Estimate of W1, a scalar; a lower bound where `critic` is 1-Lipschitz."""
  if batch_shards.one_core():
    # One batch: the same products, half as many.
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
  """Mean penalty on the gradient norm at `points`, and the mean norm.

  Args:
    critic: maps `[B, ...]` to `[B]`, samples independent of each other.
    points: `[B, ...]`.
    penalty: `'two_sided'`, `(|g| - 1)^2`, Eq. 3 of Gulrajani et al.,
      https://arxiv.org/abs/1704.00028; `'one_sided'`, `max(0, |g| - 1)^2`,
      Eq. 8 of Petzka et al., https://arxiv.org/abs/1709.08894.
    norm: `'sample'`, over a whole sample; `'channel'`, over the last axis at
      each pixel (not a Lipschitz constraint in the norm of the samples; kept
      to compare with published code).

  Returns:
    Two scalars: the penalty, and the critic's mean slope, the norm of a whole
    sample's gradient.
  """
  # The sum has the gradient of each sample's score: no sample sees another.
  gradient = jax.grad(lambda x: jnp.sum(critic(x)))(points)
  squared = jnp.sum(gradient * gradient, -1)
  whole = jnp.sum(squared, tuple(range(1, squared.ndim)))
  # At zero the derivative of the root is infinite.
  slope = jnp.sqrt(whole + 1e-12)
  size = slope if norm == 'sample' else jnp.sqrt(squared + 1e-12)
  excess = size - 1.0
  if penalty == 'one_sided':
    excess = jnp.maximum(excess, 0.0)
  return jnp.mean(excess * excess), jnp.mean(slope)


def interpolate(
  key: types.PRNGKey, real: jax.Array, fake: jax.Array
) -> jax.Array:
  """Uniformly random points on the segments between paired samples."""
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
  """The loss a critic descends: penalty minus dual gap.

  Args:
    critic: maps `[B, ...]` to `[B]`.
    real: `[B, ...]`.
    fake: `[B, ...]`.
    key: consumed, for the points of the penalty.
    penalty_weight: Lagrange weight.
    penalty: see `gradient_penalty`; 'none' for critics of slope at most 1 by
      construction (`networks.lipschitz`).
    norm: see `gradient_penalty`.

  Returns:
    Loss and the scalars `gap`, `penalty` and `slope`.
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
  r"""Estimate of W1 from a penalised critic: its gap over its slope.

  A penalty does not hold a critic at slope 1. Where the true distance is `W`
  and the slope `g` is the same everywhere, `g W - weight (g - 1)^2` is largest
  at `g = 1 + W / (2 weight)`, so that the gap overstates `W` by the factor `g`.
  Critics of smaller slope are left as they are: a lower bound.
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
    penalty_weight: see `critic_loss`.
    penalty: see `critic_loss`.
    norm: see `gradient_penalty`; only the norm of whole samples measures a
      slope that coefficients can be divided by.
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

r"""Samples the W2 barycenter by particles.

.. math:: \min_\pi \int \sum_j w_j |x_j - \bar x|^2 \, d\pi
  + \alpha \sum_j \mathrm{KL}(\pi_j \,|\, \mu_j), \quad
  \bar x = \sum_j w_j x_j

The distribution :math:`\pi` is a coupling of J inputs :math:`\mu_j`, whose
marginals are :math:`\pi_j`. For large :math:`\alpha` the distribution of the
mean :math:`\bar x` is the W2 barycenter of the inputs. Particles descend by

.. math:: \dot x_j = -2 w_j (x_j - \bar x)
  + \alpha (\nabla \log \mu_j - \nabla \log \pi_j)(x_j)

Reimplemented from the equations of Daaloul et al.,
https://arxiv.org/abs/2105.01706. The scores :math:`\nabla \log \pi_j` of the
particles come from a Gaussian fit or from a kernel density.

Shapes: N particles, J inputs, D dimensions, M samples of an input, T steps.
Distances are in data units; alpha is in squared data units.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.ops import precision
from coalesce_jax.ot import gaussians
from coalesce_jax.ot import validation

# Added to variances of a Gaussian fit, relative to their mean.
_RIDGE = 1e-6


class Particles(NamedTuple):
  """Particles at the end of a flow.

  Attributes:
    barycenter: the means of the particles, samples of the barycenter, `[N, D]`.
    inputs: the particles, `[N, J, D]`.
    spread: mean of ``sum_j w_j |x_j - mean|^2`` at each step, `[T]`. At the
      optimum it is the mean squared W2 between the barycenter and the inputs.
    speed: root mean square velocity at each step, `[T]`, in data units over the
      time of the flow. It tends to 0 where the flow converges.
  """

  barycenter: jax.Array
  inputs: jax.Array
  spread: jax.Array
  speed: jax.Array


def of_gaussians(
  key: types.PRNGKey,
  means: Any,
  covariances: Any,
  weights: Any = None,
  *,
  alpha: float = 10.0,
  count: int = 2000,
  steps: int = 1000,
  rate: float = 0.5,
) -> Particles:
  """Samples the W2 barycenter of Gaussians, with scores of Gaussian fits.

  `gaussians.gaussian_barycenter` computes it exactly.

  Args:
    key: consumed, for the start: independent samples of the inputs.
    means: `[J, D]`.
    covariances: `[J, D, D]`, of full rank.
    weights: `[J]`, sum to 1; None is equal weights.
    alpha: weight of the marginals at the end, beside squared distances; see
      `schedule`. The error falls with alpha, and the steps that are needed grow
      with it.
    count: N, more than D.
    steps: T.
    rate: size of a step, below 1, where 2 would not be stable.

  Raises:
    ValueError: an argument is invalid.
  """
  means = validation.point_cloud(means, 'means')
  checked = np.stack(
    [
      gaussians.covariance(c, f'covariances[{j}]')
      for j, c in enumerate(covariances)
    ]
  )
  if checked.shape[:2] != means.shape:
    raise ValueError(
      f'covariances: shape {checked.shape} for means {means.shape}'
    )
  least = float(np.linalg.eigvalsh(checked).min())
  if not least > 1e-6 * float(np.abs(checked).max()):
    raise ValueError('covariances: not all have full rank in float32')
  if count <= means.shape[1]:
    raise ValueError(f'count: {count} for {means.shape[1]} dimensions')
  roots = np.linalg.cholesky(checked)
  normal = jax.random.normal(key, (count, *means.shape))
  start = jnp.einsum('nje,jde->njd', normal, jnp.asarray(roots))
  start = start + jnp.asarray(means)[None]
  data = jnp.asarray(means), jnp.asarray(np.linalg.inv(checked))
  return flow(
    start,
    jnp.asarray(validation.weights(weights, len(means))),
    data,
    schedule(alpha, steps),
    _step(rate) * least,
    target=gaussian_scores,
    own=fitted_scores,
  )


def of_samples(
  key: types.PRNGKey,
  samples: Any,
  weights: Any = None,
  *,
  bandwidth: float,
  alpha: float = 10.0,
  steps: int = 1000,
  rate: float = 0.5,
) -> Particles:
  """Samples the W2 barycenter of sample sets, with scores of kernel densities.

  Args:
    key: consumed, for the start: independent couplings of the samples.
    samples: `[J, M, D]`; there are as many particles.
    weights: `[J]`, sum to 1; None is equal weights.
    bandwidth: standard deviation of the kernel, of the inputs and the particles
      alike. Details below it are lost.
    alpha: see `of_gaussians`.
    steps: T.
    rate: see `of_gaussians`.

  Raises:
    ValueError: an argument is invalid.
  """
  found = validation.clouds(samples)
  if not (np.isfinite(bandwidth) and bandwidth > 0.0):
    raise ValueError(f'bandwidth: {bandwidth} is not positive')
  clouds = jnp.asarray(found)
  keys = jax.random.split(key, len(found))
  start = jnp.swapaxes(jax.vmap(jax.random.permutation)(keys, clouds), 0, 1)
  return flow(
    start,
    jnp.asarray(validation.weights(weights, len(found))),
    (clouds, jnp.asarray(bandwidth)),
    schedule(alpha, steps),
    _step(rate) * bandwidth**2,
    target=kernel_scores,
    own=kernel_fits(float(bandwidth)),
  )


@functools.partial(jax.jit, static_argnames=('target', 'own'))
def flow(
  start: jax.Array,
  weights: jax.Array,
  data: Any,
  alphas: jax.Array,
  step: jax.Array | float,
  *,
  target: Callable[[Any, jax.Array], jax.Array],
  own: Callable[[jax.Array], jax.Array],
) -> Particles:
  """Moves particles along the flow, by the explicit Euler method.

  Args:
    start: particles, `[N, J, D]`.
    weights: `[J]`, sum to 1.
    data: what `target` needs of the inputs, a pytree.
    alphas: alpha of each step, `[T]`.
    step: size of a step, a squared length. The time of a step is ``step / (2
      step + alpha)``. Steps are stable below twice the smallest variance of
      Gaussian inputs, or below the squared bandwidth of a kernel.
    target: ``(data, x [N, J, D]) -> scores of the inputs [N, J, D]``, static,
      such as `gaussian_scores` or that of a learned model.
    own: ``points [N, D] -> scores [N, D]`` of their own distribution, static.
  """

  def one(x: jax.Array, alpha: jax.Array) -> tuple[jax.Array, Any]:
    scores = target(data, x) - jax.vmap(own, 1, 1)(x)
    after, spread, speed = moved(x, scores, weights, alpha, step)
    return after, (spread, speed)

  x, (spread, speed) = jax.lax.scan(one, start, alphas)
  return Particles(means(x, weights), x, spread, speed)


def moved(
  x: jax.Array,
  scores: jax.Array,
  weights: jax.Array,
  alpha: jax.Array | float,
  step: jax.Array | float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Moves particles by one step of the flow.

  Args:
    x: particles, `[N, J, D]`.
    scores: scores of the inputs at the particles, less those of the particles,
      `[N, J, D]`.
    weights: `[J]`, sum to 1.
    alpha: weight of the scores.
    step: see `flow`.

  Returns:
    The particles, and the spread and the speed before the step, as in
    `Particles`.
  """
  of_inputs = weights[None, :, None]
  apart = x - means(x, weights)[:, None]
  velocity = alpha * scores - 2.0 * of_inputs * apart
  spread = jnp.mean(jnp.sum(of_inputs * apart**2, (1, 2)))
  speed = jnp.sqrt(jnp.mean(jnp.sum(velocity**2, (1, 2))))
  return x + step / (2.0 * step + alpha) * velocity, spread, speed


def means(x: jax.Array, weights: jax.Array) -> jax.Array:
  """Computes the weighted means `[N, D]` of particles `[N, J, D]`."""
  return jnp.sum(weights[None, :, None] * x, 1)


def schedule(alpha: float, steps: int) -> jax.Array:
  """Returns alpha of each step, `[T]`.

  It grows from a hundredth of the last value over three fifths of the steps. At
  first the particles of a coupling come together, and then the marginals spread
  them. Kernel scores alone would hardly change a coupling that starts at
  random.

  Raises:
    ValueError: alpha is not positive, or there is no step.
  """
  if not (np.isfinite(alpha) and alpha > 0.0):
    raise ValueError(f'alpha: {alpha} is not positive')
  if steps < 1:
    raise ValueError(f'steps: {steps} is below 1')
  done = jnp.minimum(jnp.arange(steps) / (0.6 * steps), 1.0)
  return alpha * 100.0 ** (done - 1.0)


def gaussian_scores(data: tuple[Any, Any], x: jax.Array) -> jax.Array:
  """Computes the scores of Gaussians.

  Args:
    data: means `[J, D]` and inverse covariances `[J, D, D]`.
    x: `[N, J, D]`.
  """
  means, inverses = data
  return -jnp.einsum('jde,nje->njd', inverses, x - means[None])


def kernel_scores(data: tuple[Any, Any], x: jax.Array) -> jax.Array:
  """Computes the scores of kernel densities.

  Args:
    data: samples `[J, M, D]` and the bandwidth.
    x: `[N, J, D]`.
  """
  samples, bandwidth = data
  each = jax.vmap(_kernel_score, (0, 1, None), 1)
  return each(samples, x, bandwidth)


def fitted_scores(points: jax.Array) -> jax.Array:
  """Computes the scores `[N, D]` of the Gaussian fit of points `[N, D]`."""
  centred = points - points.mean(0)[None]
  moment = centred.T @ centred / len(points)
  size = len(moment)
  ridge = _RIDGE * jnp.trace(moment) / size * jnp.eye(size, dtype=moment.dtype)
  return -jnp.linalg.solve(moment + ridge, centred.T).T


@functools.lru_cache(maxsize=16)
def kernel_fits(bandwidth: float) -> Callable[[jax.Array], jax.Array]:
  """Returns ``points [N, D] -> scores [N, D]`` of their own kernel density."""
  return lambda points: _kernel_score(points, points, bandwidth)


def _kernel_score(samples: Any, x: jax.Array, bandwidth: Any) -> jax.Array:
  """Computes the scores `[N, D]` at `x` of a kernel density of samples."""
  # Far from 0 their products would lose the digits of the distances.
  middle = samples.mean(0)[None]
  samples, x = samples - middle, x - middle
  squares = jnp.sum(samples**2, 1)[None] - 2.0 * precision.matmul(x, samples.T)
  near = jax.nn.softmax(-0.5 * squares / bandwidth**2, 1)
  return (precision.matmul(near, samples) - x) / bandwidth**2


def _step(rate: float) -> float:
  if not 0.0 < rate < 1.0:
    raise ValueError(f'rate: {rate} is not in (0, 1)')
  return rate

"""Particles against the Bures fixed point, quantiles and densities."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.ot import exact
from coalesce_jax.ot import gaussians
from coalesce_jax.ot import sampling

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[0.0, 1.0], [2.0, -1.0], [-1.0, 0.5]])
COVARIANCES = np.array(
  [
    [[2.0, 0.8], [0.8, 0.6]],
    [[0.5, 0.0], [0.0, 1.5]],
    [[1.0, -0.7], [-0.7, 1.0]],
  ]
)


@functools.cache
def three(alpha):
  return sampling.of_gaussians(
    jax.random.key(0), MEANS, COVARIANCES, WEIGHTS, alpha=alpha, count=500,
    steps=800,
  )  # fmt: skip


def error(particles):
  """Squared W2 to the fixed point, of the Gaussian fit."""
  truth = gaussians.gaussian_barycenter(MEANS, COVARIANCES, WEIGHTS)
  x = np.asarray(particles.barycenter, np.float64)
  return gaussians.frechet_squared(
    x.mean(0), np.cov(x.T, bias=True), truth.mean, truth.covariance
  )


def test_the_error_at_three_gaussians_falls_with_alpha():
  errors = [error(three(alpha)) for alpha in (1.0, 3.0, 10.0)]
  assert errors[0] > 3.0 * errors[1] > 9.0 * errors[2]
  assert errors[2] < 1e-3
  # The control: means of independent samples.
  truth = gaussians.gaussian_barycenter(MEANS, COVARIANCES, WEIGHTS)
  independent = (WEIGHTS[:, None, None] ** 2 * COVARIANCES).sum(0)
  control = gaussians.bures_squared(independent, truth.covariance)
  assert control > 100.0 * errors[2]


def test_the_flow_converges_to_the_couplings_of_the_barycenter():
  found = three(10.0)
  assert found.inputs.shape == (500, 3, 2)
  assert found.spread.shape == found.speed.shape == (800,)
  assert float(found.speed[-1]) < 1e-3 * float(found.speed[0])
  np.testing.assert_allclose(
    found.barycenter, np.einsum('j,njd->nd', WEIGHTS, found.inputs), atol=1e-5
  )
  truth = gaussians.gaussian_barycenter(MEANS, COVARIANCES, WEIGHTS)
  least = sum(
    w * gaussians.frechet_squared(m, c, truth.mean, truth.covariance)
    for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
  )
  # The inputs give way by about 1 / alpha, and so the cost is below.
  assert 0.75 * least < float(found.spread[-1]) < least
  assert float(found.spread[0]) > 1.2 * least


def test_means_rest_where_pull_and_scores_balance():
  # 2 w (m_j - mean) + alpha C_j^-1 (m_j - mu_j) = 0, a linear system.
  inverses = np.linalg.inv(COVARIANCES)
  rows = np.zeros((3, 2, 3, 2))
  for j in range(3):
    rows[j, :, j] += 2.0 * WEIGHTS[j] * np.eye(2) + 3.0 * inverses[j]
    for k in range(3):
      rows[j, :, k] -= 2.0 * WEIGHTS[j] * WEIGHTS[k] * np.eye(2)
  right = 3.0 * np.einsum('jde,je->jd', inverses, MEANS).reshape(6)
  expected = np.linalg.solve(rows.reshape(6, 6), right).reshape(3, 2)
  found = three(3.0).inputs.mean(0)
  np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_single_weight_returns_its_input():
  found = sampling.of_gaussians(
    jax.random.key(1), MEANS, COVARIANCES, [0.0, 1.0, 0.0], count=500,
    steps=800,
  ).barycenter  # fmt: skip
  np.testing.assert_allclose(found.mean(0), MEANS[1], atol=1e-3)
  np.testing.assert_allclose(
    np.cov(found.T, bias=True), COVARIANCES[1], atol=1e-3
  )


def test_on_the_line_quantiles_are_averaged():
  rng = np.random.default_rng(0)
  one = 0.5 * rng.normal(size=200) + np.where(np.arange(200) < 100, -2.0, 2.0)
  x = np.stack([one, rng.gamma(2.0, 1.0, 200)])
  found = sampling.of_samples(
    jax.random.key(0), x[:, :, None], bandwidth=0.25, steps=1000
  )
  truth = np.sort(x, 1).mean(0)
  value = exact.w1_line(found.barycenter, truth)
  independent = exact.w1_line(x[0] / 2.0 + rng.permutation(x[1]) / 2.0, truth)
  mixture = exact.w1_line(x.reshape(-1), truth)
  assert value < 0.12 < 0.3 * min(independent, mixture)


def test_scores_are_gradients_of_log_densities():
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(4, 3, 2)), jnp.float32)
  data = jnp.asarray(MEANS), jnp.asarray(np.linalg.inv(COVARIANCES))
  found = sampling.gaussian_scores(data, x)
  samples = rng.normal(size=(3, 30, 2)) + 100.0
  near = x + 100.0
  kernels = sampling.kernel_scores((jnp.asarray(samples), 0.7), near)
  for j in range(3):
    gaussian = stats.multivariate_normal(MEANS[j], COVARIANCES[j]).logpdf
    points = np.asarray(near[:, j], np.float64)
    for d in range(2):
      step = np.zeros((1, 2))
      step[0, d] = 1e-5
      at = np.asarray(x[:, j], np.float64)
      rise = (gaussian(at + step) - gaussian(at - step)) / 2e-5
      np.testing.assert_allclose(found[:, j, d], rise, rtol=1e-3, atol=1e-4)

      def density(p, j=j):
        gap = p[:, None] - samples[j][None]
        return np.log(np.exp(-0.5 * (gap**2).sum(2) / 0.49).sum(1))

      rise = (density(points + step) - density(points - step)) / 2e-5
      np.testing.assert_allclose(kernels[:, j, d], rise, rtol=5e-3, atol=5e-3)


def test_fitted_scores_are_those_of_the_moments():
  x = np.random.default_rng(2).normal(size=(40, 3)) @ np.diag([1.0, 2.0, 0.5])
  found = sampling.fitted_scores(jnp.asarray(x))
  inverse = np.linalg.inv(np.cov(x.T, bias=True))
  expected = -(x - x.mean(0)) @ inverse
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
  own = sampling.kernel_fits(0.5)(jnp.asarray(x))
  data = jnp.asarray(x)[None], 0.5
  same = sampling.kernel_scores(data, jnp.asarray(x)[:, None])[:, 0]
  np.testing.assert_allclose(own, same, rtol=1e-5, atol=1e-5)


OF_G, OF_S = sampling.of_gaussians, sampling.of_samples
KEY, CLOUDS = jax.random.key(0), np.zeros((2, 5, 1))


@pytest.mark.parametrize(
  'call,message',
  [
    (lambda: OF_G(KEY, MEANS, COVARIANCES[:2]), '^covariances: shape'),
    (lambda: OF_G(KEY, MEANS, 0.0 * COVARIANCES), '^covariances: not all'),
    (lambda: OF_G(KEY, MEANS, -COVARIANCES), r'^covariances\[0\]'),
    (lambda: OF_G(KEY, MEANS, COVARIANCES, [1.0]), '^weights'),
    (lambda: OF_G(KEY, MEANS, COVARIANCES, count=2), '^count: 2 for 2'),
    (lambda: OF_G(KEY, MEANS, COVARIANCES, alpha=0.0), '^alpha: 0.0'),
    (lambda: OF_G(KEY, MEANS, COVARIANCES, steps=0), '^steps: 0'),
    (lambda: OF_G(KEY, MEANS, COVARIANCES, rate=1.0), '^rate: 1.0'),
    (lambda: OF_S(KEY, CLOUDS[0], bandwidth=1.0), '^samples: shape'),
    (
      lambda: OF_S(KEY, np.nan * CLOUDS, bandwidth=1.0),
      r'^samples\[0\]: values',
    ),
    (lambda: OF_S(KEY, CLOUDS, bandwidth=0.0), '^bandwidth: 0.0'),
  ],
)
def test_bad_arguments_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()

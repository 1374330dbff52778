"""Gaussians: closed forms against matrix roots, simulation and each other."""

import numpy as np
import pytest
from scipy import integrate
from scipy import linalg
from scipy import stats

from coalesce_jax.metrics import frechet
from coalesce_jax.ot import gaussians


def covariances(count, dimension, seed=0):
  square = np.random.default_rng(seed).normal(
    size=(count, dimension, dimension)
  )
  return square @ square.transpose(0, 2, 1) + 0.1 * np.eye(dimension)[None]


@pytest.mark.parametrize('dimension', [1, 3, 40])
def test_bures_equals_the_matrix_root_of_scipy(dimension):
  a, b = covariances(2, dimension)
  root = linalg.sqrtm(a)
  cross = linalg.sqrtm(root @ b @ root).real
  expected = np.trace(a + b - 2.0 * cross)
  assert gaussians.bures_squared(a, b) == pytest.approx(expected, rel=1e-9)
  assert gaussians.bures_squared(a, a) == pytest.approx(0.0, abs=1e-8)
  moments = [frechet.Moments(np.zeros(dimension), c, 10) for c in (a, b)]
  assert frechet.frechet_squared(*moments) == pytest.approx(expected, rel=1e-9)


def test_frechet_adds_the_means():
  a, b = covariances(2, 3)
  value = gaussians.frechet_squared([0.0, 0.0, 0.0], a, [3.0, 0.0, 4.0], b)
  assert value == pytest.approx(25.0 + gaussians.bures_squared(a, b))


def test_barycenter_of_scalings_is_the_mean_scale():
  parts = [s**2 * np.eye(4) for s in (1.0, 2.0, 6.0)]
  found = gaussians.gaussian_barycenter(np.zeros((3, 4)), parts)
  np.testing.assert_allclose(found.covariance, 9.0 * np.eye(4), rtol=1e-8)


def test_barycenter_satisfies_its_fixed_point_and_beats_its_neighbours():
  parts, weights = covariances(3, 3), [0.5, 0.3, 0.2]
  means = np.arange(9.0).reshape(3, 3)
  found = gaussians.gaussian_barycenter(means, parts, weights)
  np.testing.assert_allclose(found.mean, weights @ means)
  root = linalg.sqrtm(found.covariance)
  mixed = sum(
    w * linalg.sqrtm(root @ c @ root)
    for w, c in zip(weights, parts, strict=True)
  )
  np.testing.assert_allclose(mixed.real, found.covariance, rtol=1e-6)

  def value(c):
    return sum(
      w * gaussians.bures_squared(c, p)
      for w, p in zip(weights, parts, strict=True)
    )

  best = value(found.covariance)
  for step in covariances(5, 3, seed=1):
    assert value(found.covariance + 0.05 * step) > best


@pytest.mark.parametrize('dimension', [1, 2, 7, 500])
def test_mean_norm_is_that_of_the_chi_law(dimension):
  expected = stats.chi(dimension).mean()
  assert gaussians.mean_norm(dimension) == pytest.approx(expected, rel=1e-9)


def test_scalings_on_the_line_agree_with_the_line():
  for s1, s2 in ((1.0, 2.0), (3.0, 0.0), (2.0, 2.0)):
    assert gaussians.isotropic_w1(s1, s2, 1) == pytest.approx(
      gaussians.line_w1(0.0, s1, 0.0, s2)
    )


@pytest.mark.parametrize('m,s,n,t', [(0, 1, 2, 1), (0, 1, -1, 3), (1, 0, 1, 2)])
def test_line_equals_the_integral_of_the_quantile_gap(m, s, n, t):
  value, _ = integrate.quad(
    lambda q: abs(m - n + (s - t) * stats.norm.ppf(q)), 0.0, 1.0, limit=200
  )
  assert gaussians.line_w1(m, s, n, t) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: gaussians.bures_squared(np.eye(2), np.eye(3)), 'c2'),
    (
      lambda: gaussians.bures_squared([[1.0, 2.0], [0.0, 1.0]], np.eye(2)),
      'c1',
    ),
    (lambda: gaussians.bures_squared(-np.eye(2), np.eye(2)), 'c1'),
    (lambda: gaussians.bures_squared(np.ones((2, 3)), np.eye(2)), 'c1'),
    (
      lambda: gaussians.frechet_squared(
        [0.0], np.eye(1), [0.0, 1.0], np.eye(2)
      ),
      'm2',
    ),
    (
      lambda: gaussians.gaussian_barycenter(np.zeros((2, 2)), [np.eye(2)]),
      'covariances',
    ),
    (lambda: gaussians.isotropic_w1(-1.0, 1.0, 2), 's1'),
    (lambda: gaussians.line_w1(0.0, 1.0, np.nan, 1.0), 'm2'),
    (lambda: gaussians.mean_norm(0), 'dimension'),
  ],
)
def test_bad_arguments_are_named(call, name):
  with pytest.raises(ValueError, match=f'^{name}'):
    call()


def test_no_convergence_is_an_error():
  with pytest.raises(RuntimeError, match='not converged in 1 '):
    gaussians.gaussian_barycenter(
      np.zeros((2, 2)), covariances(2, 2), iterations=1
    )

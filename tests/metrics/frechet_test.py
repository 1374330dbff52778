"""Frechet distance against closed forms and other solvers."""

import numpy as np
import pytest
from scipy import linalg

from coalesce_jax.metrics import frechet


def random_moments(seed, size):
  rng = np.random.default_rng(seed)
  root = rng.normal(size=(size, size))
  return frechet.Moments(rng.normal(size=size), root @ root.T, 100)


@pytest.mark.parametrize('size', [1, 5, 64])
def test_distance_equals_the_formula_with_a_matrix_square_root(size):
  a, b = random_moments(0, size), random_moments(1, size)
  root = linalg.sqrtm(a.covariance @ b.covariance).real
  expected = ((a.mean - b.mean) ** 2).sum() + np.trace(
    a.covariance + b.covariance - 2.0 * root
  )
  assert frechet.frechet_squared(a, b) == pytest.approx(expected, rel=1e-8)


def test_commuting_gaussians_have_a_closed_form():
  a = frechet.Moments(np.zeros(2), np.diag([1.0, 4.0]), 10)
  b = frechet.Moments(np.array([3.0, 0.0]), np.diag([9.0, 4.0]), 10)
  assert frechet.frechet_squared(a, b) == pytest.approx(9.0 + 4.0)


def test_distance_is_symmetric_and_zero_to_itself():
  a, b = random_moments(0, 8), random_moments(1, 8)
  forward, back = frechet.frechet_squared(a, b), frechet.frechet_squared(b, a)
  assert forward == pytest.approx(back)
  assert frechet.frechet_squared(a, a) == pytest.approx(0.0, abs=1e-8)


def test_rank_deficient_covariances_are_no_trouble():
  x = np.random.default_rng(0).normal(size=(5, 20))
  a, b = frechet.moments(x), frechet.moments(x + 2.0)
  assert frechet.frechet_squared(a, b) == pytest.approx(20 * 4.0, rel=1e-6)


@pytest.mark.parametrize('far', [0.0, 1e4, 1e7])
@pytest.mark.parametrize('offset', [0.0, 1e6])
def test_clusters_far_apart_keep_the_distance_within_them(far, offset):
  # One cluster of each set is the other's, scaled: the covariances commute.
  rng = np.random.default_rng(0)
  side = np.repeat([-1.0, 1.0], 32)[:, None]
  basis = np.concatenate([np.ones((64, 1)), side, rng.normal(size=(64, 3))], 1)
  # Without mean, without correlation, of deviation 1.
  x = np.linalg.qr(basis)[0][:, 2:] * np.sqrt(63.0)
  a = np.concatenate([far * side, x], 1) + offset
  b = np.concatenate([far * side, 3.0 * x + 2.0], 1) + offset
  # Three directions of deviation 1 against 3, and of means 0 against 2.
  turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
  value = frechet.frechet_squared(
    frechet.moments(a @ turn), frechet.moments(b @ turn)
  )
  assert value == pytest.approx(3 * 4.0 + 3 * 4.0, rel=1e-6)


def test_factors_and_covariances_have_one_distance():
  rng = np.random.default_rng(1)
  a, b = (frechet.moments(rng.normal(size=(n, 5))) for n in (30, 4))
  for one in (a, b):
    np.testing.assert_allclose(one.factor.T @ one.factor, one.covariance)
  value = frechet.frechet_squared(a, b)
  bare = [one._replace(factor=None) for one in (a, b)]
  assert frechet.frechet_squared(*bare) == pytest.approx(value, rel=1e-6)
  assert frechet.frechet_squared(a, bare[1]) == pytest.approx(value, rel=1e-6)


def test_moments_are_those_of_numpy():
  x = np.random.default_rng(0).normal(size=(50, 3))
  found = frechet.moments(x[::-1])
  np.testing.assert_allclose(found.mean, x.mean(0))
  np.testing.assert_allclose(found.covariance, np.cov(x.T))


def test_bad_clouds_are_refused():
  for bad in (np.zeros((1, 3)), np.zeros(3), np.full((4, 2), np.nan)):
    with pytest.raises(ValueError):
      frechet.moments(bad)
  with pytest.raises(ValueError, match='3 features against 2'):
    frechet.frechet_squared(random_moments(0, 3), random_moments(0, 2))


@pytest.mark.parametrize('size', [1e200, 1e308])
def test_features_whose_squares_overflow_are_refused(size):
  with pytest.raises(ValueError, match='too large'):
    frechet.moments(np.array([[0.0, size], [1.0, -size]]))
  found = frechet.moments(np.array([[0.0, 1e140], [1.0, -1e140]]))
  assert found.covariance[1, 1] == pytest.approx(2e280, rel=1e-12)


@pytest.mark.parametrize(
  'kind', ['plain', 'scales', 'near', 'dependent', 'constant', 'few']
)
def test_factors_are_those_of_a_qr_decomposition(kind):
  rng = np.random.default_rng(3)
  x = rng.normal(size=(9 if kind == 'few' else 200, 12))
  if kind == 'scales':
    x *= 10.0 ** rng.integers(-9, 9, 12)
  if kind == 'near':
    x[:, 1] = x[:, 0] + 1e-5 * x[:, 1]
  if kind == 'dependent':
    x[:, 1] = x[:, 0]
  if kind == 'constant':
    x[:, 1] = 0.0
  found = frechet.moments(x)
  rows = np.sqrt(len(x) - 1)
  expected = np.linalg.qr(x - x.mean(0)[None], mode='r') / rows
  # Unique up to the sign of each row. A direction of rounding alone has none.
  sure = (
    np.abs(np.diag(expected))
    > 1e-12 * np.linalg.norm(expected, axis=0)[: len(expected)]
  )
  sizes = np.linalg.norm(expected, axis=0, keepdims=True)
  np.testing.assert_allclose(
    np.abs(found.factor / sizes.clip(1e-300))[sure],
    np.abs(expected / sizes.clip(1e-300))[sure],
    # Rounding grows with the condition, which is 1e5 of near features.
    atol=1e-10 if kind == 'near' else 1e-13,
  )
  assert found.factor.shape == expected.shape

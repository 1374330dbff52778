"""Barycenters by matchings against quantiles, all couplings and Gaussians."""

import itertools

import numpy as np
import pytest

from coalesce_jax.ot import gaussians
from coalesce_jax.ot import matched_barycenters

WEIGHTS = [0.5, 0.3, 0.2]


def test_on_the_line_quantiles_are_averaged():
  x = np.random.default_rng(0).gamma(2.0, size=(3, 50, 1)) * [
    [[1.0]],
    [[3.0]],
    [[0.5]],
  ]
  found = matched_barycenters.fixed_point(x, WEIGHTS)
  expected = np.tensordot(WEIGHTS, np.sort(x[:, :, 0], 1), 1)
  np.testing.assert_allclose(np.sort(found.points[:, 0]), expected, rtol=1e-12)
  assert found.converged and found.iterations <= 3


@pytest.mark.parametrize('seed', range(4))
def test_the_value_is_that_of_the_best_coupling(seed):
  x = np.random.default_rng(seed).normal(size=(3, 4, 2))
  w = np.array(WEIGHTS)
  each = []
  for one in itertools.permutations(range(4)):
    for other in itertools.permutations(range(4)):
      paired = np.stack([x[0], x[1][list(one)], x[2][list(other)]])
      mean = np.einsum('j,jnd->nd', w, paired)
      gaps = ((paired - mean[None]) ** 2).sum(2).mean(1)
      each.append(float(w @ gaps))
  starts = [
    matched_barycenters.fixed_point(x, w, start=j).value for j in range(3)
  ]
  assert min(each) - 1e-12 <= min(starts) <= min(each) * 1.02
  assert max(starts) < np.median(each)


def test_translates_have_a_translate():
  rng = np.random.default_rng(1)
  base, shifts = rng.normal(size=(30, 3)), 5.0 * rng.normal(size=(3, 1, 3))
  x = np.stack([rng.permutation(base) + s for s in shifts]) + 1e6
  found = matched_barycenters.fixed_point(x, WEIGHTS)
  expected = base + np.tensordot(WEIGHTS, shifts, 1) + 1e6
  order = [np.lexsort(p.T) for p in (found.points, expected)]
  np.testing.assert_allclose(
    found.points[order[0]], expected[order[1]], atol=1e-8
  )
  # What is matched is the same point of all.
  moved = [x[j][found.matches[j]] - shifts[j] for j in range(3)]
  np.testing.assert_allclose(moved[0], moved[1], atol=1e-8)


def test_samples_of_gaussians_approach_the_bures_fixed_point():
  covariances = np.array([[[2.0, 0.8], [0.8, 0.6]], [[0.5, 0.0], [0.0, 1.5]]])
  rng = np.random.default_rng(2)
  x = np.stack(
    [rng.multivariate_normal([0.0, 0.0], c, 400) for c in covariances]
  )
  truth = gaussians.gaussian_barycenter(np.zeros((2, 2)), covariances)
  found = matched_barycenters.fixed_point(x).points
  error = gaussians.bures_squared(np.cov(found.T, bias=True), truth.covariance)
  control = gaussians.bures_squared(covariances.mean(0) / 2.0, truth.covariance)
  assert error < 0.25 * control


def test_a_run_that_is_too_short_says_so():
  x = np.random.default_rng(3).normal(size=(3, 40, 2))
  short = matched_barycenters.fixed_point(x, iterations=1)
  long = matched_barycenters.fixed_point(x)
  assert not short.converged and short.iterations == 1
  assert long.converged and long.value < short.value


def test_many_starts_find_a_lower_value_than_the_inputs():
  # Four clusters against four: which go together decides the value.
  rng = np.random.default_rng(4)
  middles = 5.0 * rng.normal(size=(3, 4, 1, 2))
  x = (middles + 0.3 * rng.normal(size=(3, 4, 15, 2))).reshape(3, 60, 2)
  found = matched_barycenters.of_many_starts(0, x, WEIGHTS, starts=30, few=20)
  alone = [
    matched_barycenters.fixed_point(x, WEIGHTS, start=j).value for j in range(3)
  ]
  assert found.converged and found.value < max(alone) - 0.01
  assert found.value < min(alone) + 1e-9


def test_the_iteration_starts_from_given_points():
  x = np.random.default_rng(5).normal(size=(2, 30, 2)) + 100.0
  whole = matched_barycenters.fixed_point(x)
  again = matched_barycenters.fixed_point(x, start=whole.points)
  np.testing.assert_allclose(again.points, whole.points, atol=1e-10)
  assert again.iterations == 2


MANY = matched_barycenters.of_many_starts
GOOD = np.zeros((2, 3, 1))


@pytest.mark.parametrize(
  'arguments,options,message',
  [
    ((GOOD[0],), {}, '^samples: shape'),
    ((GOOD * np.nan,), {}, r'^samples\[0\]: values'),
    ((np.zeros((1, 8001, 1)),), {}, 'fewer samples'),
    ((GOOD, [1.0]), {}, '^weights: shape'),
    ((GOOD,), {'start': 2}, '^start: 2'),
    ((GOOD,), {'start': GOOD[0, :2]}, '^start: shape'),
    ((GOOD,), {'iterations': 0}, '^iterations: 0'),
  ],
)
def test_bad_arguments_are_named(arguments, options, message):
  with pytest.raises(ValueError, match=message):
    matched_barycenters.fixed_point(*arguments, **options)


@pytest.mark.parametrize(
  'samples,options,message',
  [
    (GOOD[0], {}, '^samples: shape'),
    (GOOD, {'starts': 1}, '^starts: 1 for 2'),
    (GOOD, {'few': 0}, '^few: 0'),
    (GOOD, {'finals': 0}, '^finals: 0'),
  ],
)
def test_bad_starts_are_named(samples, options, message):
  with pytest.raises(ValueError, match=message):
    MANY(0, samples, **options)

"""Medians: against brute force, linear programmes and each other."""

import numpy as np
import pytest
from scipy import optimize

from coalesce_jax.ot import exact
from coalesce_jax.ot import medians


def test_weighted_median_is_a_minimiser_and_the_lowest():
  rng = np.random.default_rng(0)
  for _ in range(20):
    values, weights = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(5))
    found = medians.weighted_median(values, weights)
    cost = lambda m: weights @ np.abs(values - m[None])  # noqa: E731, B023
    for other in values:
      assert (cost(found) <= cost(other) + 1e-12).all()
  assert medians.weighted_median([0.0, 1.0, 2.0, 3.0]) == 1.0
  assert medians.weighted_median([5.0, 0.0], [0.0, 1.0]) == 0.0


def test_quantile_and_cdf_forms_have_one_value():
  rng = np.random.default_rng(1)
  clouds = [rng.normal(m, s, 400) for m, s in ((0, 1), (2, 0.5), (3, 2))]
  weights = [0.4, 0.35, 0.25]
  levels = (np.arange(400) + 0.5) / 400
  median = medians.quantile_median(clouds, weights, levels=levels)
  value = sum(
    w * exact.w1_line(c, median) for w, c in zip(weights, clouds, strict=True)
  )
  assert value == pytest.approx(medians.line_value(clouds, weights), rel=1e-9)
  moved = np.sort(median) + 0.01 * rng.normal(size=400)
  worse = sum(
    w * exact.w1_line(c, moved) for w, c in zip(weights, clouds, strict=True)
  )
  assert worse > value


def test_line_value_equals_the_linear_programme():
  grid = np.arange(6.0)[:, None]
  rng = np.random.default_rng(2)
  clouds = [rng.integers(0, 6, n).astype(float) for n in (4, 5, 8)]
  bars = [np.bincount(c.astype(int), minlength=6) / len(c) for c in clouds]
  weights = [0.5, 0.2, 0.3]
  found = medians.grid_barycenter_lp(grid, bars, weights)
  assert found.value == pytest.approx(medians.line_value(clouds, weights))


def test_two_equal_laws_cost_half_their_distance():
  rng = np.random.default_rng(3)
  x, y = rng.normal(size=(2, 30))
  value = medians.line_value([x, y])
  assert value == pytest.approx(0.5 * exact.w1_line(x, y))


def test_fermat_weber_of_a_right_triangle_is_known():
  found = medians.fermat_weber([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
  np.testing.assert_allclose(found.point, [0.69579, 0.75118], atol=1e-5)
  assert found.value == pytest.approx(2.25548, abs=1e-5)


@pytest.mark.parametrize('seed', range(5))
def test_fermat_weber_equals_a_general_minimiser(seed):
  rng = np.random.default_rng(seed)
  points, weights = rng.normal(size=(6, 3)), rng.dirichlet(np.ones(6))
  found = medians.fermat_weber(points, weights)
  cost = lambda y: weights @ np.linalg.norm(points - y[None], axis=1)  # noqa: E731
  options = {'xatol': 1e-9, 'fatol': 1e-12}
  other = optimize.minimize(
    cost, points.mean(0), method='Nelder-Mead', options=options
  )
  assert found.value <= other.fun + 1e-9
  assert found.value == pytest.approx(cost(found.point))


def test_fermat_weber_may_be_a_data_point_or_lie_on_a_line():
  points = [[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]
  heavy = medians.fermat_weber(points, [0.6, 0.2, 0.2])
  np.testing.assert_array_equal(heavy.point, [0.0, 0.0])
  single = medians.fermat_weber([[1.0, 2.0]])
  assert single.value == 0.0
  twins = medians.fermat_weber([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]])
  np.testing.assert_array_equal(twins.point, [0.0, 0.0])
  assert medians.fermat_weber([[-2.0], [0.0], [3.0]]).point == 0.0


def test_grid_barycenter_of_three_atoms_is_their_median():
  grid = np.array([[x, y] for x in range(4) for y in range(4)], float)
  bars = np.zeros((3, 16))
  for k, where in enumerate(([0, 0], [0, 3], [0, 1])):
    bars[k, where[0] * 4 + where[1]] = 1.0
  found = medians.grid_barycenter_lp(grid, bars)
  assert found.histogram[1] == pytest.approx(1.0)
  assert found.value == pytest.approx(1.0)
  value = sum(exact.w1(grid, grid, b, found.histogram) for b in bars) / 3.0
  assert value == pytest.approx(found.value)


@pytest.mark.parametrize('scale', [1e-9, 1e-6, 1e9])
def test_grid_barycenters_know_no_unit(scale):
  grid = np.array([[x, y] for x in range(3) for y in range(3)], float)
  bars = np.random.default_rng(5).dirichlet(np.ones(9), 3)
  value = medians.grid_barycenter_lp(grid, bars).value
  found = medians.grid_barycenter_lp(scale * grid, bars)
  assert found.value == pytest.approx(scale * value, rel=1e-9)


def test_entropic_barycenter_costs_little_more_than_the_exact_one():
  grid = np.array([[x, y] for x in range(4) for y in range(4)], float)
  bars = np.random.default_rng(4).dirichlet(np.ones(16), 3)
  sure = medians.grid_barycenter_lp(grid, bars)
  near = medians.grid_barycenter(grid, bars, epsilon=0.05)
  assert near.converged
  assert sure.value - 1e-6 <= near.value < 1.05 * sure.value


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: medians.weighted_median([]), 'values'),
    (lambda: medians.weighted_median([np.nan]), 'values'),
    (lambda: medians.weighted_median([1.0, 2.0], [1.0]), 'weights'),
    (lambda: medians.quantiles([1.0], [0.0]), 'levels'),
    (lambda: medians.line_value([]), 'clouds'),
    (lambda: medians.line_value([[1.0], [np.inf]]), r'clouds\[1\]'),
    (lambda: medians.fermat_weber(np.zeros((0, 2))), 'points'),
    (lambda: medians.fermat_weber([[0.0, 1.0]], [-1.0]), 'weights'),
    (lambda: medians.grid_barycenter_lp([[0.0]], [[0.5]]), r'histograms\[0\]'),
    (
      lambda: medians.grid_barycenter_lp(np.zeros((2000, 1)), np.full((2, 2000), 0.0005)),  # noqa: E501
      'points',
    ),
    (
      lambda: medians.grid_barycenter([[0.0]], [[1.0]], epsilon=0.0),
      'epsilon',
    ),
  ],
)  # fmt: skip
def test_bad_arguments_are_named(call, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    call()

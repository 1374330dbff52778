"""Medians: against brute force, linear programmes and each other."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import optimize

from coalesce_jax.ot import exact
from coalesce_jax.ot import grid_barycenters
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
  found = grid_barycenters.linear_programme(grid, bars, weights)
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


@given(st.integers(0, 10_000))
def test_weighted_medians_move_and_scale_along_in_any_order(seed):
  rng = np.random.default_rng(seed)
  k = int(rng.integers(1, 7))
  values = rng.integers(-3, 4, size=(k, 2, 2)).astype(float)
  weights = rng.dirichlet(np.ones(k))
  found = medians.weighted_median(values, weights)
  np.testing.assert_array_equal(
    medians.weighted_median(4.0 * values + 1.0, weights), 4.0 * found + 1.0
  )
  order = rng.permutation(k)
  np.testing.assert_array_equal(
    medians.weighted_median(values[order], weights[order]), found
  )
  more = np.concatenate([values, rng.normal(size=(1, 2, 2))])
  np.testing.assert_array_equal(
    medians.weighted_median(more, np.append(weights, 0.0)), found
  )


@given(st.integers(0, 10_000))
def test_quantiles_equal_those_of_numpy(seed):
  rng = np.random.default_rng(seed)
  n = int(rng.integers(1, 9))
  x, weights = rng.integers(0, 5, n).astype(float), rng.dirichlet(np.ones(n))
  levels = rng.uniform(0.001, 0.999, 7)
  expected = np.quantile(x, levels, weights=weights, method='inverted_cdf')
  np.testing.assert_array_equal(medians.quantiles(x, levels, weights), expected)
  np.testing.assert_array_equal(
    medians.quantiles(x[:, None], levels),
    np.quantile(x, levels, method='inverted_cdf'),
  )
  far, none = np.append(-9.0, x), np.append(0.0, weights)
  levels[0] = 1e-13
  np.testing.assert_array_equal(
    medians.quantiles(far, levels, none), medians.quantiles(x, levels, weights)
  )


def test_quantile_median_of_one_cloud_or_of_twins_is_its_quantiles():
  x, y = np.random.default_rng(6).normal(size=(2, 5))
  levels = np.array([0.1, 0.5, 0.7])
  expected = medians.quantiles(x, levels)
  for clouds, weights in (
    ([x], None),
    ([x, x, y], None),
    ([y, x[:, None]], [0.0, 1.0]),
  ):
    found = medians.quantile_median(clouds, weights, levels=levels)
    np.testing.assert_array_equal(found, expected)


@given(st.integers(0, 10_000))
def test_line_value_moves_and_scales_along_and_no_cloud_is_better(seed):
  rng = np.random.default_rng(seed)
  sizes = rng.integers(1, 7, 3)
  clouds = [rng.integers(0, 5, n).astype(float) for n in sizes]
  weights = rng.dirichlet(np.ones(3))
  value = medians.line_value(clouds, weights)
  moved = [3.0 * c - 7.0 for c in clouds]
  assert medians.line_value(moved, weights) == pytest.approx(3.0 * value)
  order = [2, 0, 1]
  assert medians.line_value(
    [clouds[k] for k in order], weights[order]
  ) == pytest.approx(value)
  for other in (*clouds, rng.uniform(0.0, 4.0, 5)):
    cost = sum(
      w * exact.w1_line(c, other) for w, c in zip(weights, clouds, strict=True)
    )
    assert value <= cost + 1e-12
  assert medians.line_value(
    [*clouds, [99.0]], np.append(weights, 0.0)
  ) == pytest.approx(value)


def test_clouds_at_one_point_cost_nothing():
  assert medians.line_value([[2.0], [2.0, 2.0]]) == 0.0
  assert medians.line_value([[1.0, 5.0]]) == 0.0


@given(st.integers(0, 10_000))
def test_fermat_weber_moves_turns_and_scales_along(seed):
  rng = np.random.default_rng(seed)
  k, d = int(rng.integers(1, 8)), int(rng.integers(1, 4))
  # Of few values, so that points repeat and lie on lines.
  points = rng.integers(-2, 3, size=(k, d)).astype(float)
  weights = rng.dirichlet(np.ones(k))
  found = medians.fermat_weber(points, weights)
  assert found.value == pytest.approx(
    float(weights @ np.linalg.norm(points - found.point[None], axis=1))
  )
  # Not below it anywhere near, so, of a convex function, nowhere.
  for step in np.concatenate([np.eye(d), rng.normal(size=(8, d))]):
    for size in (-1e-3, 1e-3, 0.5):
      gaps = points - (found.point + size * step)[None]
      near = float(weights @ np.linalg.norm(gaps, axis=1))
      assert near >= found.value - 1e-12
  turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
  moved = medians.fermat_weber(3.0 * points @ turn + 1e6, weights)
  assert moved.value == pytest.approx(3.0 * found.value, rel=1e-7, abs=1e-8)
  more = np.concatenate([points, np.full((1, d), 50.0)])
  dropped = medians.fermat_weber(more, np.append(weights, 0.0))
  assert dropped.value == pytest.approx(found.value, rel=1e-9)


def test_fermat_weber_converges_far_from_the_origin():
  points = np.random.default_rng(0).normal(size=(7, 3))
  value = medians.fermat_weber(points).value
  far = medians.fermat_weber(points + 1e9)
  assert far.value == pytest.approx(value, rel=1e-6)
  np.testing.assert_allclose(
    far.point - 1e9, medians.fermat_weber(points).point, atol=1e-5
  )


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: medians.weighted_median([]), 'values'),
    (lambda: medians.weighted_median([np.nan]), 'values'),
    (lambda: medians.weighted_median([1.0, 2.0], [1.0]), 'weights'),
    (lambda: medians.quantiles([1.0], [0.0]), 'levels'),
    (lambda: medians.weighted_median([[1.0], [1.0, 2.0]]), 'values'),
    (lambda: medians.weighted_median([1.0, 2.0], [1.5, -0.5]), 'weights'),
    (lambda: medians.quantiles([1.0], [np.nan]), 'levels'),
    (lambda: medians.quantiles([np.inf], [0.5]), 'x'),
    (lambda: medians.quantiles([1.0], [0.5], [0.5]), 'weights'),
    (lambda: medians.quantiles(np.zeros((2, 2)), [0.5]), 'x'),
    (lambda: medians.quantile_median([], levels=[0.5]), 'point_clouds'),
    (
      lambda: medians.quantile_median([[0.0], [np.nan]], levels=[0.5]),
      r'point_clouds\[1\]',
    ),
    (
      lambda: medians.quantile_median([[0.0]], [0.5, 0.5], levels=[0.5]),
      'weights',
    ),
    (lambda: medians.line_value([[0.0]], [-1.0]), 'weights'),
    (lambda: medians.line_value([[0.0], []]), r'point_clouds\[1\]'),
    (lambda: medians.fermat_weber([[np.nan, 0.0]]), 'points'),
    (lambda: medians.fermat_weber([[0.0, 1.0], [0.0]]), 'points'),
    (lambda: medians.fermat_weber([[0.0, 1.0]], [0.5, 0.5]), 'weights'),
    (lambda: medians.line_value([]), 'point_clouds'),
    (lambda: medians.line_value([[1.0], [np.inf]]), r'point_clouds\[1\]'),
    (lambda: medians.fermat_weber(np.zeros((0, 2))), 'points'),
    (lambda: medians.fermat_weber([[0.0, 1.0]], [-1.0]), 'weights'),
  ],
)  # fmt: skip
def test_bad_arguments_are_named(call, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    call()


@pytest.mark.parametrize('scale', [1e-200, 1e-6, 1e6, 1e200])
@pytest.mark.parametrize('offset', [0.0, 1e4])
def test_no_unit_or_offset_changes_the_medians(scale, offset):
  rng = np.random.default_rng(6)
  x, w = rng.normal(size=(7, 3)), rng.dirichlet(np.ones(7))
  found = medians.fermat_weber(x, w)
  moved = medians.fermat_weber(scale * (x + offset), w)
  assert moved.value == pytest.approx(scale * found.value, rel=1e-9, abs=0)
  np.testing.assert_allclose(
    moved.point / scale - offset, found.point, atol=1e-7
  )
  line = medians.line_value(list(x.T))
  other = medians.line_value(list(scale * (x.T + offset)))
  assert other == pytest.approx(scale * line, rel=1e-9, abs=0)


def test_a_light_point_far_away_pulls_by_its_weight():
  rng = np.random.default_rng(7)
  x, w = rng.normal(size=(7, 3)), rng.dirichlet(np.ones(7))
  near = medians.fermat_weber(x, w)
  far = medians.fermat_weber(
    np.concatenate([x, [[1e9, 0.0, 0.0]]]), np.append(w * (1.0 - 1e-9), 1e-9)
  )
  assert far.value == pytest.approx(near.value + 1.0, abs=1e-7)
  np.testing.assert_allclose(far.point, near.point, atol=1e-7)


def test_light_points_of_the_tails_have_quantiles():
  x = np.array([-3.0, -2.0, -1.0, 0.0])
  weights = [1e-15, 1e-15, 1e-15, 1.0 - 3e-15]
  found = medians.quantiles(x, [0.5e-15, 1.5e-15, 2.5e-15, 0.5], weights)
  np.testing.assert_array_equal(found, x)
  found = medians.weighted_median(x, [0.5 - 1e-13, 2e-13, 0.0, 0.5 - 1e-13])
  assert found == -2.0

"""Exact W1 against scipy, brute force, closed forms and itself."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.ot import exact
from coalesce_jax.ot import gaussians

# Compiled whole: one by one their operations take most of the time.
assignment = jax.jit(exact.w1_assignment)
distances = jax.jit(exact.distances)


def clouds(seed, dimension=None):
  """Two weighted clouds of random sizes, with repeated points."""
  rng = np.random.default_rng(seed)
  d = int(rng.integers(1, 5)) if dimension is None else dimension
  n, m = rng.integers(1, 9, 2)
  x, y = rng.normal(size=(n, d)), 2.0 * rng.normal(size=(m, d))
  x = x[rng.integers(0, n, n)]
  return x, y, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@pytest.mark.parametrize('n', [1, 2, 5])
def test_assignment_is_the_best_permutation(n):
  x, y = np.random.default_rng(n).normal(size=(2, n, 3))
  best = min(
    np.mean(np.linalg.norm(x - y[list(p)], axis=1))
    for p in itertools.permutations(range(n))
  )
  assert exact.w1(x, y) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize('seed', range(6))
def test_programme_equals_scipy(seed):
  x, y, a, b = clouds(seed)
  expected = (
    stats.wasserstein_distance(x[:, 0], y[:, 0], a, b)
    if x.shape[1] == 1
    else stats.wasserstein_distance_nd(x, y, a, b)
  )
  assert exact.w1(x, y, a, b) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_line_programme_and_assignment_agree():
  x, y = np.random.default_rng(0).normal(size=(2, 30, 1))
  sure = exact.w1_line(x, y)
  assert exact.plan(x, y).value == pytest.approx(sure, rel=1e-12)
  equal = np.full(30, 1.0 / 30)
  equal[0] += 1e-9
  equal /= equal.sum()
  assert exact.plan(x, y, equal).value == pytest.approx(sure, rel=1e-6)


def test_line_converges_to_the_closed_form_of_gaussians():
  levels = (np.arange(20_000) + 0.5) / 20_000
  x = stats.norm.ppf(levels)
  value = exact.w1_line(x, 1.0 + 3.0 * x)
  expected = gaussians.line_w1(0.0, 1.0, 1.0, 3.0)
  assert value == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize('scale', [1e-200, 1e-12, 1e-6, 1e9, 1e200])
def test_programmes_know_no_unit(scale):
  for seed in range(5):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(7, 2)) + 1.0
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(7))
    found = exact.w1(scale * x, scale * y, a, b)
    assert found == pytest.approx(scale * exact.w1(x, y, a, b), rel=1e-9, abs=0)


def test_plans_have_the_weights_as_sums_and_zero_weights_drop_out():
  x, y, a, _ = clouds(4, 2)
  a = a.copy()
  a[0] = 0.0
  a /= a.sum()
  found = exact.plan(x, y, a)
  np.testing.assert_allclose(found.coupling.sum(1), a, atol=1e-12)
  np.testing.assert_allclose(found.coupling.sum(0), 1.0 / len(y), atol=1e-12)
  assert found.value == pytest.approx(
    float((found.coupling * exact.cost_matrix(x, y)).sum())
  )
  assert exact.w1(x[1:], y, a[1:]) == pytest.approx(found.value)


@given(st.integers(0, 10_000))
def test_w1_is_a_distance_that_scales_and_moves_along(seed):
  x, y, a, b = clouds(seed)
  rng = np.random.default_rng(seed + 1)
  z = rng.normal(size=(4, x.shape[1]))
  xy, yz, xz = exact.w1(x, y, a, b), exact.w1(y, z, b), exact.w1(x, z, a)
  assert exact.w1(y, x, b, a) == pytest.approx(xy, abs=1e-9)
  assert xz <= xy + yz + 1e-9
  assert exact.w1(x, x, a, a) == pytest.approx(0.0, abs=1e-9)
  shift = rng.normal(size=(1, x.shape[1]))
  assert exact.w1(3 * x + shift, 3 * y + shift, a, b) == pytest.approx(
    3.0 * xy, abs=1e-8
  )
  assert exact.w1(x, x + shift, a, a) == pytest.approx(
    float(np.linalg.norm(shift)), rel=1e-6
  )


def test_light_far_points_count():
  # On a ray through the other cloud's only point the distance is known.
  rng = np.random.default_rng(0)
  a = np.full(300, 9e-8)
  a[0] = 1.0 - a[1:].sum()
  x = np.concatenate([[[0.0, 0.0]], 1e3 * rng.normal(size=(299, 2))])
  y = np.array([[0.0, 0.0], [0.0, 1.0]])
  b = np.array([1.0 - 1e-12, 1e-12])
  found = exact.plan(x, y, a, b)
  # No gap between a distance to one and to the other exceeds 1.
  far = a @ np.linalg.norm(x, axis=1)
  assert found.value == pytest.approx(far, abs=1.1e-12)
  np.testing.assert_allclose(found.coupling.sum(1), a, rtol=1e-12)
  np.testing.assert_allclose(found.coupling.sum(0), b, rtol=1e-12)


@pytest.mark.parametrize('n', [40, 41])
@pytest.mark.parametrize('far', [1e4, 1e8, 1e12])
def test_an_outlier_does_not_blur_the_others(n, far):
  rng = np.random.default_rng(1)
  x = rng.normal(size=(n, 2))
  y = x + 1e-6 * rng.normal(size=(n, 2))
  x[0] = y[0] = far
  stays = np.linalg.norm(x - y, axis=1)
  assert exact.w1(x, y) == pytest.approx(stays.mean(), rel=1e-9)
  a = rng.dirichlet(np.ones(n))
  assert exact.w1(x, y, a, a) == pytest.approx(a @ stays, rel=1e-9)


def test_outliers_beyond_verification_are_refused():
  x = np.random.default_rng(1).normal(size=(2001, 1))
  x[0] = 1e14
  with pytest.raises(ValueError, match='^x, y: .*outliers'):
    exact.plan(x, x + 1e-6)


@pytest.mark.parametrize('far', [1.0, 1e15])
def test_equal_masses_far_out_on_the_line_cancel(far):
  rng = np.random.default_rng(2)
  x = rng.normal(size=49)
  y = x + 1e-6
  x[0] = y[0] = far
  a = rng.dirichlet(np.ones(49))
  moved = np.abs(x - y)
  assert exact.w1_line(x, y, a, a) == pytest.approx(a @ moved, rel=1e-9)
  assert exact.w1_line(x, y) == pytest.approx(moved.mean(), rel=1e-9)
  # The same masses in other pieces.
  twice = np.repeat(y, 2)
  assert exact.w1_line(x, twice) == pytest.approx(moved.mean(), rel=1e-9)
  halves = np.repeat(a / 2.0, 2)
  assert exact.w1_line(x, twice, a, halves) == pytest.approx(
    a @ moved, rel=1e-9
  )


@given(st.integers(0, 10_000))
def test_slices_bound_from_below(seed):
  x, y, _, _ = clouds(seed)
  value = exact.w1_sliced(x, y, projections=16, seed=seed)
  assert value <= exact.w1(x, y) + 1e-9
  if x.shape[1] == 1:
    assert value == pytest.approx(exact.w1(x, y))
  assert value == exact.w1_sliced(x, y, projections=16, seed=seed)


def test_jax_assignment_has_value_and_gradient():
  rng = np.random.default_rng(3)
  x, y = (jnp.asarray(v, jnp.float32) for v in rng.normal(size=(2, 6, 2)))
  value, slope = jax.jit(jax.value_and_grad(assignment))(x, y)
  assert float(value) == pytest.approx(exact.w1(x, y), rel=1e-5)
  step = 1e-3
  for i, j in ((0, 0), (3, 1), (5, 0)):
    move = np.zeros((6, 2))
    move[i, j] = step
    rise = exact.w1(x + move, y) - exact.w1(x - move, y)
    assert float(slope[i, j]) == pytest.approx(rise / (2 * step), abs=1e-3)


def test_jax_assignment_vmaps_and_stands_still_at_zero():
  x = jax.random.normal(jax.random.key(0), (3, 5, 2))
  y = x[::-1]
  together = jax.jit(jax.vmap(assignment))(x, y)
  alone = [exact.w1(a, b) for a, b in zip(x, y, strict=True)]
  np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
  value, slope = jax.jit(jax.value_and_grad(assignment))(x[0], x[0])
  assert float(value) == 0.0
  np.testing.assert_array_equal(slope, 0.0)


NAN = np.array([[np.nan, 0.0]])
OK = np.zeros((3, 2))


@pytest.mark.parametrize(
  'arguments,name',
  [
    ((NAN, OK), 'x'),
    ((OK, np.array([[np.inf, 0.0]])), 'y'),
    ((OK, np.zeros((3, 1))), 'y'),
    ((np.zeros((0, 2)), OK), 'x'),
    ((np.zeros(3), OK), 'x'),
    ((OK, OK, [0.5, 0.5]), 'weights_x'),
    ((OK, OK, [1.5, -0.5, 0.0]), 'weights_x'),
    ((OK, OK, None, [0.0, 0.0, 0.0]), 'weights_y'),
    ((OK, OK, None, [0.5, 0.5, 0.5]), 'weights_y'),
    ((OK, OK, None, [np.nan, 0.5, 0.5]), 'weights_y'),
  ],
)
def test_bad_arguments_are_named(arguments, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    exact.w1(*arguments)


def test_too_many_points_are_refused_before_memory_is_taken():
  with pytest.raises(ValueError, match='fewer points'):
    exact.w1(np.zeros((3000, 2)), np.zeros((3001, 2)))
  with pytest.raises(ValueError, match='^projections: 0'):
    exact.w1_sliced(OK, OK, projections=0)
  with pytest.raises(ValueError, match='^y: shape'):
    exact.w1_assignment(jnp.zeros((3, 2)), jnp.zeros((4, 2)))


def test_cost_matrices_hold_the_norms_of_gaps():
  x, y, _, _ = clouds(5, 3)
  expected = [[np.linalg.norm(p - q) for q in y] for p in x]
  np.testing.assert_allclose(exact.cost_matrix(x, y), expected, rtol=1e-12)
  found = exact.distances(jnp.asarray(x), jnp.asarray(y))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_distances_have_the_gradient_of_finite_differences():
  rng = np.random.default_rng(4)
  with jax.enable_x64(True):
    x, y = (jnp.asarray(v) for v in rng.normal(size=(2, 4, 3)))
    # One pair at distance 0, which pulls nowhere.
    x, scale = x.at[0].set(y[0]), jnp.asarray(rng.normal(size=(4, 4)))
    scale = scale.at[0, 0].set(0.0)
    value = lambda v: jnp.sum(scale * distances(v, y))
    slope = jax.grad(value)(x)
    for i, j in ((0, 0), (1, 2), (3, 1)):
      step = jnp.zeros((4, 3)).at[i, j].set(1e-6)
      rise = float(value(x + step) - value(x - step)) / 2e-6
      assert float(slope[i, j]) == pytest.approx(rise, rel=1e-6)
    pull = jax.jacobian(distances)(x, y)[0, 0, 0]
    np.testing.assert_array_equal(pull, 0.0)


@pytest.mark.parametrize('n,dimension', [(1, 1), (1, 3), (6, 1)])
def test_jax_assignment_takes_single_points_lines_and_twins(n, dimension):
  rng = np.random.default_rng(n)
  x, y = (jnp.asarray(v) for v in rng.normal(size=(2, n, dimension)))
  x = x.at[n // 2 :].set(x[-1])
  value = float(assignment(x, y))
  assert value == pytest.approx(exact.w1(x, y), rel=1e-5)
  assert float(assignment(y, x)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_jax_values_are_not_finite_where_a_point_is_not(bad):
  x = jnp.zeros((3, 2)).at[1, 0].set(bad)
  assert not np.isfinite(float(assignment(x, jnp.ones((3, 2)))))
  assert not np.isfinite(distances(x, jnp.ones((1, 2)))[1]).any()


def test_slices_are_the_mean_of_the_line():
  x, y, _, _ = clouds(6, 3)
  lines = np.random.default_rng(9).normal(size=(3, 8))
  lines /= np.linalg.norm(lines, axis=0)[None]
  expected = np.mean(
    [stats.wasserstein_distance(x @ e, y @ e) for e in lines.T]
  )
  found = exact.w1_sliced(x, y, projections=8, seed=9)
  assert found == pytest.approx(expected, rel=1e-12)


def test_slices_of_a_translate_have_a_closed_form():
  # The mean of |cos| is 2 / pi.
  x = np.random.default_rng(0).normal(size=(5, 2))
  shift = np.array([[3.0, 4.0]])
  found = exact.w1_sliced(x, x + shift, projections=20_000)
  assert found == pytest.approx(10.0 / np.pi, rel=0.02)


@given(st.integers(0, 10_000))
def test_slices_are_a_distance_that_scales_and_moves_along(seed):
  x, y, _, _ = clouds(seed)
  rng = np.random.default_rng(seed)
  z, shift = rng.normal(size=(4, x.shape[1])), rng.normal(size=(1, x.shape[1]))
  sliced = lambda p, q: exact.w1_sliced(p, q, projections=8)
  xy = sliced(x, y)
  assert sliced(y, x) == pytest.approx(xy, abs=1e-12)
  assert sliced(x, z) <= xy + sliced(y, z) + 1e-12
  assert sliced(x, x) == 0.0
  assert sliced(3 * x + shift, 3 * y + shift) == pytest.approx(3 * xy)


@given(st.integers(0, 10_000))
def test_the_line_equals_scipy_and_knows_no_order(seed):
  x, y, a, b = clouds(seed, 1)
  b = np.where(np.arange(len(b)) == 1, 0.0, b)
  b /= b.sum()
  value = exact.w1_line(x, y[:, 0], a, b)
  expected = stats.wasserstein_distance(x[:, 0], y[:, 0], a, b)
  assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
  assert exact.w1_line(x[::-1], y, a[::-1], b) == pytest.approx(
    value, abs=1e-12
  )


def test_plans_are_couplings_whatever_the_sizes():
  for seed in range(8):
    x, y, a, b = clouds(seed)
    found = exact.plan(x, y, a, b)
    assert found.coupling.min() >= 0.0
    np.testing.assert_allclose(found.coupling.sum(1), a, atol=1e-9)
    np.testing.assert_allclose(found.coupling.sum(0), b, atol=1e-9)
    assert found.value == pytest.approx(exact.w1(x, y, a, b), abs=1e-9)


def test_values_are_in_float64_whatever_comes():
  # In float32 all of these points are one.
  x, y, _, _ = clouds(7, 2)
  near = exact.w1(1.0 + 1e-9 * x, 1.0 + 1e-9 * y)
  assert near == pytest.approx(1e-9 * exact.w1(x, y), rel=1e-6)
  low, high = x.astype(np.float32), y.astype(np.float32)
  wide = exact.w1(low.astype(np.float64), high.astype(np.float64))
  assert exact.w1(low, high) == wide
  assert exact.cost_matrix(low, high).dtype == np.float64


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: exact.w1([[1.0, 2.0], [3.0]], OK), 'x'),
    (lambda: exact.w1(OK, [['a', 'b']]), 'y'),
    (lambda: exact.plan(OK, OK, [0.5, [0.5], 0.0]), 'weights_x'),
    (lambda: exact.plan(NAN, OK), 'x'),
    (lambda: exact.plan(OK, OK, None, [2.0, -1.0, 0.0]), 'weights_y'),
    (lambda: exact.cost_matrix(OK, OK[:, :1]), 'y'),
    (lambda: exact.cost_matrix(OK, NAN), 'y'),
    (lambda: exact.w1_line(OK, [1.0]), 'x'),
    (lambda: exact.w1_line([1.0], [np.inf]), 'y'),
    (lambda: exact.w1_line([], [1.0]), 'x'),
    (lambda: exact.w1_line(1.0, [1.0]), 'x'),
    (lambda: exact.w1_line([1.0], [1.0], [0.5, 0.5]), 'weights_x'),
    (lambda: exact.w1_line([1.0], [1.0], None, [-1.0]), 'weights_y'),
    (lambda: exact.w1_sliced(NAN, OK), 'x'),
    (lambda: exact.w1_sliced(OK, np.zeros((2, 3))), 'y'),
    (lambda: exact.distances(jnp.zeros((3, 2)), jnp.zeros((3, 1))), 'y'),
    (lambda: exact.distances(jnp.zeros(3), jnp.zeros((3, 1))), 'x'),
    (lambda: exact.w1_assignment(jnp.zeros(3), jnp.zeros(3)), 'x'),
    (lambda: exact.w1_assignment(jnp.zeros((0, 2)), jnp.zeros((0, 2))), 'x'),
  ],
)
def test_every_function_names_a_bad_argument(call, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    call()

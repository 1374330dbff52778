"""Entropic transport: what bounds, bounds; the divergence by another way."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
from ott.problems.linear import linear_problem
import pytest
from scipy import special
from scipy.spatial import distance

from coalesce_jax.ot import exact
from coalesce_jax.ot import sinkhorn


def clouds(seed, n=7, m=9, dimension=2):
  rng = np.random.default_rng(seed)
  x, y = rng.normal(size=(n, dimension)), 1.0 + rng.normal(size=(m, dimension))
  return x, y, rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_bounds_enclose_the_exact_value(seed):
  x, y, a, b = clouds(seed)
  value = exact.w1(x, y, a, b)
  for settings_ in ({}, {'epsilon': 2.0}, {'iterations': 10}):
    found = sinkhorn.bounds(x, y, a, b, **settings_)
    assert found.lower <= value + 1e-9 and value <= found.upper + 1e-9


def test_bounds_are_close_where_epsilon_is_small():
  x, y, a, b = clouds(1)
  found = sinkhorn.bounds(x, y, a, b, epsilon=0.01)
  assert found.converged and found.upper < 1.02 * found.lower


def test_an_early_stop_is_told_and_still_bounds():
  x, y, a, b = clouds(2)
  found = sinkhorn.bounds(x, y, a, b, epsilon=1e-3, iterations=10)
  value = exact.w1(x, y, a, b)
  assert not found.converged and found.lower <= value <= found.upper
  with pytest.raises(sinkhorn.NotConverged, match='not converged in 10'):
    sinkhorn.divergence(x, y, a, b, epsilon=1e-3, iterations=10)


def test_divergence_vanishes_only_between_equal_clouds():
  x, y, a, b = clouds(3)
  assert sinkhorn.divergence(x, x, a, a) == pytest.approx(0.0, abs=1e-6)
  assert sinkhorn.divergence(x, y, a, b) > 0.1
  same = sinkhorn.divergence(y, x, b, a)
  assert sinkhorn.divergence(x, y, a, b) == pytest.approx(same, rel=1e-3)


def test_divergence_nears_w1_and_half_the_energy_distance():
  x, y, a, b = clouds(4)
  sharp = sinkhorn.divergence(x, y, a, b, epsilon=0.01)
  assert sharp == pytest.approx(exact.w1(x, y, a, b), rel=0.02)
  blunt = sinkhorn.divergence(x, y, a, b, epsilon=1e3)
  cost = exact.cost_matrix
  energy = (
    a @ cost(x, y) @ b - 0.5 * a @ cost(x, x) @ a - 0.5 * b @ cost(y, y) @ b
  )
  assert blunt == pytest.approx(energy, rel=1e-2)


def test_one_point_duplicates_and_zero_weights_work():
  x = np.zeros((1, 3))
  y = np.array([[3.0, 0.0, 4.0], [3.0, 0.0, 4.0], [9.0, 9.0, 9.0]])
  found = sinkhorn.bounds(x, y, None, [0.5, 0.5, 0.0])
  assert found.lower == pytest.approx(5.0) and found.upper == pytest.approx(5.0)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_bounds_turn_scale_and_move_along(seed):
  x, y, a, b = clouds(seed)
  found = sinkhorn.bounds(x, y, a, b)
  rng = np.random.default_rng(seed)
  shift = 10.0 * rng.normal(size=(1, 2))
  turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
  moved = sinkhorn.bounds(
    3e-6 * x @ turn + shift, 3e-6 * y @ turn + shift, a, b
  )
  assert moved.epsilon == pytest.approx(3e-6 * found.epsilon)
  # Potentials are float32, whose rounding depends on the unit.
  assert moved.lower == pytest.approx(3e-6 * found.lower, rel=1e-3)
  assert moved.upper == pytest.approx(3e-6 * found.upper, rel=1e-3)
  back = sinkhorn.bounds(x[::-1], y[::-1], a[::-1], b[::-1])
  assert back.lower == pytest.approx(found.lower, rel=1e-3)
  assert back.upper == pytest.approx(found.upper, rel=1e-3)
  other = sinkhorn.bounds(y, x, b, a, iterations=4999)
  assert max(found.lower, other.lower) <= min(found.upper, other.upper)


def entropic(x, y, a, b, epsilon):
  """OT_epsilon by scalings in float64, from its plan."""
  cost = distance.cdist(x, y)
  kernel, v = np.exp(-cost / epsilon), np.ones(len(y))
  for _ in range(10_000):
    u = 1.0 / (kernel @ (b * v))
    v = 1.0 / (kernel.T @ (a * u))
  product = a[:, None] * b[None]
  plan = u[:, None] * kernel * v[None] * product
  np.testing.assert_allclose(plan.sum(1), a, atol=1e-9)
  return (plan * cost).sum() + epsilon * special.rel_entr(plan, product).sum()


@pytest.mark.parametrize('dimension', [1, 3])
def test_divergence_equals_a_fixed_point_in_float64(dimension):
  x, y, a, b = clouds(5, dimension=dimension)
  expected = entropic(x, y, a, b, 0.3) - 0.5 * (
    entropic(x, x, a, a, 0.3) + entropic(y, y, b, b, 0.3)
  )
  found = sinkhorn.divergence(x, y, a, b, epsilon=0.3)
  assert found == pytest.approx(expected, rel=1e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_divergence_is_positive_symmetric_scales_and_moves_along(seed):
  x, y, a, b = clouds(seed)
  found = sinkhorn.divergence(x, y, a, b, epsilon=0.5)
  assert found > 0.0
  assert sinkhorn.divergence(y, x, b, a, epsilon=0.5) == pytest.approx(
    found, rel=1e-3
  )
  shift = np.array([[5.0, -7.0]])
  assert sinkhorn.divergence(
    4 * x + shift, 4 * y + shift, a, b, epsilon=2.0
  ) == pytest.approx(4.0 * found, rel=1e-3)
  assert sinkhorn.divergence(x, x, a, a, epsilon=0.5) == pytest.approx(
    0.0, abs=1e-3 * found
  )


def test_single_points_cost_their_distance():
  x, y = np.zeros((1, 2)), np.array([[3.0, 4.0]])
  assert sinkhorn.divergence(x, y) == pytest.approx(5.0)
  assert sinkhorn.bounds(x, x).upper == 0.0


def test_zero_weights_and_split_points_change_nothing():
  x, y, a, b = clouds(6)
  none = np.concatenate([[0.0], a])
  far = np.concatenate([[[1e6, 1e6]], x])
  found, plain = sinkhorn.bounds(far, y, none, b), sinkhorn.bounds(x, y, a, b)
  np.testing.assert_allclose(found, plain, rtol=1e-9)
  halves = np.concatenate([x, x])
  half = np.concatenate([a, a]) / 2.0
  assert sinkhorn.divergence(halves, y, half, b, epsilon=0.5) == pytest.approx(
    sinkhorn.divergence(x, y, a, b, epsilon=0.5), rel=1e-4
  )


def test_values_are_in_float64():
  # In float32 neither cloud would differ from its own mean.
  x, y, a, b = clouds(7)
  near = sinkhorn.bounds(1.0 + 1e-9 * x, 1.0 + 1e-9 * y, a, b)
  value = 1e-9 * exact.w1(x, y, a, b)
  assert near.lower <= value + 1e-15 and value <= near.upper + 1e-15
  assert near.upper < 1.1 * near.lower


def test_problems_of_one_shape_are_traced_once(monkeypatch):
  traced = []
  original = linear_problem.LinearProblem

  def count(*args, **kwargs):
    traced.append(args)
    return original(*args, **kwargs)

  monkeypatch.setattr(linear_problem, 'LinearProblem', count)
  for seed in range(3):
    # A number of iterations that no other test asks for.
    sinkhorn.bounds(*clouds(seed), iterations=321, epsilon=1.0 + seed)
  assert len(traced) == 1


NAN = np.array([[np.nan, 0.0]])
OK = np.zeros((3, 2))


@pytest.mark.parametrize('call', [sinkhorn.bounds, sinkhorn.divergence])
@pytest.mark.parametrize(
  'arguments,name',
  [
    ((NAN, OK), 'x'),
    ((OK, np.array([[np.inf, 0.0]])), 'y'),
    ((OK, np.zeros((3, 1))), 'y'),
    ((np.zeros((0, 2)), OK), 'x'),
    ((OK, OK, [0.5, 0.5]), 'weights_x'),
    ((OK, OK, [1.5, -0.5, 0.0]), 'weights_x'),
    ((OK, OK, None, [0.5, 0.5, 0.5]), 'weights_y'),
  ],
)
def test_bad_clouds_are_named(call, arguments, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    call(*arguments)


@pytest.mark.parametrize('call', [sinkhorn.bounds, sinkhorn.divergence])
@pytest.mark.parametrize(
  'setting',
  [{'epsilon': v} for v in (0.0, -1.0, np.nan, np.inf)] + [{'iterations': 0}],
)
def test_bad_settings_are_named(call, setting):
  (name,) = setting
  with pytest.raises(ValueError, match=f'^{name}: '):
    call(np.zeros((2, 1)), np.ones((2, 1)), **setting)


@pytest.mark.parametrize('scale', [1e-30, 1e-12, 1e-6, 1e6, 1e30])
def test_no_scale_of_the_data_changes_the_bounds(scale):
  x, y, a, b = clouds(1)
  found = sinkhorn.bounds(x, y, a, b)
  scaled = sinkhorn.bounds(scale * x, scale * y, a, b)
  assert scaled.converged
  np.testing.assert_allclose(
    [scaled.lower / scale, scaled.upper / scale, scaled.epsilon / scale],
    [found.lower, found.upper, found.epsilon],
    rtol=1e-6,
  )
  assert sinkhorn.divergence(scale * x, scale * y, a, b) == pytest.approx(
    scale * sinkhorn.divergence(x, y, a, b), rel=1e-5, abs=0
  )


def test_clusters_far_apart_have_bounds_as_tight_as_one():
  x, y, _, _ = clouds(2, 8, 8)
  for cloud in (x, y):
    cloud[:4] += 1e4
  value = exact.w1(x, y)
  found = sinkhorn.bounds(x, y, epsilon=0.1)
  assert found.converged
  assert found.lower - 1e-9 <= value <= found.upper < 1.02 * found.lower


def test_light_weights_are_bounded():
  x, y, a, b = clouds(3)
  a[:3] = 1e-60
  a /= a.sum()
  found = sinkhorn.bounds(x, y, a, b)
  value = exact.w1(x[3:], y, a[3:], b)
  assert found.converged and found.lower - 1e-9 <= value <= found.upper + 1e-9


def test_equal_points_are_at_distance_0():
  x = np.ones((3, 2))
  assert sinkhorn.bounds(x, x[:2]).upper == 0.0
  assert sinkhorn.divergence(x, x[:2]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize('epsilon', [1e-17, 1e-310])
def test_an_epsilon_without_digits_is_refused(epsilon):
  x, y, a, b = clouds(5)
  with pytest.raises(ValueError, match='^epsilon: .* is too small beside'):
    sinkhorn.bounds(x, y, a, b, epsilon=epsilon)


def test_bounds_of_a_tiny_epsilon_are_valid():
  x, y, a, b = clouds(5)
  value = exact.w1(x, y, a, b)
  found = sinkhorn.bounds(x, y, a, b, epsilon=1e-12, iterations=10)
  assert not found.converged
  assert found.lower - 1e-9 <= value <= found.upper + 1e-9


def test_an_epsilon_that_hides_the_distances_is_refused():
  x, y, a, b = clouds(3)
  with pytest.raises(ValueError, match='^epsilon: 1.* too large'):
    sinkhorn.divergence(x, y, a, b, epsilon=1e12)
  with pytest.raises(ValueError, match='^epsilon: 1.* too large'):
    sinkhorn.bounds(x, y, epsilon=1e12)
  # Half an energy distance, to rounding of the largest epsilon that is taken.
  between, own = distance.cdist(x, y), [distance.cdist(v, v) for v in (x, y)]
  half = a @ between @ b - 0.5 * (a @ own[0] @ a + b @ own[1] @ b)
  found = sinkhorn.divergence(x, y, a, b, epsilon=1e5)
  assert found == pytest.approx(half, rel=1e-4)


def test_equal_clouds_are_not_below_zero_apart():
  rng = np.random.default_rng(0)
  for n in (2, 5, 8):
    x = rng.normal(size=(n, 2))
    assert sinkhorn.divergence(x, x) >= 0.0
    same = sinkhorn.bounds(np.full((n, 2), 0.1), np.full((n + 1, 2), 0.1))
    assert same.lower == same.upper == 0.0

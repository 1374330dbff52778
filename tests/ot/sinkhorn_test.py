"""Entropic transport: what bounds, bounds; and ott-jax's known faults."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import costs
import pytest

from coalesce_jax.ot import exact
from coalesce_jax.ot import gaussians
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
  x, y, a, b = clouds(1, 40, 50)
  found = sinkhorn.bounds(x, y, a, b, epsilon=0.01, iterations=20_000)
  assert found.converged and found.upper < 1.02 * found.lower


def test_an_early_stop_is_told_and_still_bounds():
  x, y, a, b = clouds(2, 40, 50)
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
  x, y, a, b = clouds(4, 20, 30)
  sharp = sinkhorn.divergence(x, y, a, b, epsilon=0.01, iterations=50_000)
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


@pytest.mark.parametrize('epsilon', [0.0, -1.0, float('nan')])
def test_bad_epsilon_is_named(epsilon):
  with pytest.raises(ValueError, match='^epsilon: '):
    sinkhorn.bounds(np.zeros((2, 1)), np.ones((2, 1)), epsilon=epsilon)


def test_ott_still_takes_the_root_of_bures_with_the_wrong_threshold():
  # When this fails, upstream is mended: `gaussians` may use it.
  d = 64
  rng = np.random.default_rng(0)
  parts = []
  for _ in range(2):
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    parts.append((axes * np.geomspace(1.0, 1e-6, d)) @ axes.T)
  with jax.numpy_rank_promotion('allow'):
    packed = [
      jnp.concatenate([jnp.zeros(d), jnp.asarray(c, jnp.float32).reshape(-1)])
      for c in parts
    ]
    theirs = float(costs.Bures(dimension=d)(*packed))
  ours = gaussians.bures_squared(*parts)
  assert abs(theirs / ours - 1.0) > 4e-3


def test_ott_still_gives_the_euclidean_cost_a_wrong_value_at_zero():
  # When this fails, upstream is mended: `exact.distances` may go.
  x = jnp.ones(9)
  with jax.numpy_rank_promotion('allow'):
    value, _ = jax.value_and_grad(costs.Euclidean())(x, x)
  assert float(value) == pytest.approx(3.0, rel=1e-3)
  ours, slope = jax.value_and_grad(
    lambda a: exact.distances(a[None], x[None])[0, 0]
  )(x)
  assert float(ours) == 0.0
  np.testing.assert_array_equal(slope, 0.0)

"""Barycenters on a grid: against medians, each other and every input."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest

from coalesce_jax.ot import exact
from coalesce_jax.ot import grid_barycenters


def test_grid_barycenter_of_three_atoms_is_their_median():
  grid = np.array([[x, y] for x in range(4) for y in range(4)], float)
  bars = np.zeros((3, 16))
  for k, where in enumerate(([0, 0], [0, 3], [0, 1])):
    bars[k, where[0] * 4 + where[1]] = 1.0
  found = grid_barycenters.linear_programme(grid, bars)
  assert found.histogram[1] == pytest.approx(1.0)
  assert found.value == pytest.approx(1.0)
  value = sum(exact.w1(grid, grid, b, found.histogram) for b in bars) / 3.0
  assert value == pytest.approx(found.value)


@pytest.mark.parametrize('scale', [1e-9, 1e-6, 1e9])
def test_grid_barycenters_know_no_unit(scale):
  grid = np.array([[x, y] for x in range(3) for y in range(3)], float)
  bars = np.random.default_rng(5).dirichlet(np.ones(9), 3)
  value = grid_barycenters.linear_programme(grid, bars).value
  found = grid_barycenters.linear_programme(scale * grid, bars)
  assert found.value == pytest.approx(scale * value, rel=1e-9, abs=0)


@pytest.mark.parametrize('light', [5e-8, 1e-8, 1e-12])
@pytest.mark.parametrize('scale', [1e-6, 1.0, 1e6])
def test_light_probabilities_are_carried(light, scale):
  # All but `light` of each histogram is at the origin. Off it there is one
  # atom each, whose median costs what Fermat's point does.
  grid = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]) + 7.0
  bars = np.zeros((3, 4))
  bars[:, 0] = 1.0 - light
  bars[:, 1:] = light * np.eye(3)
  found = grid_barycenters.linear_programme(scale * grid, bars)
  costs = exact.cost_matrix(grid, grid)[:, 1:].mean(1)
  # The exact mass, which float64 rounds off 1 - light.
  expected = scale * costs.min() * light
  assert found.value == pytest.approx(expected, rel=2e-16 / light + 1e-9, abs=0)
  mass = np.zeros(4)
  mass[0], mass[costs.argmin()] = 1.0 - light, mass[costs.argmin()] + light
  np.testing.assert_allclose(found.histogram[1:], mass[1:], rtol=1e-3, atol=0)


def test_a_light_input_is_weighed():
  # Equal inputs of most of the weight fix the barycenter.
  grid = np.random.default_rng(3).normal(size=(6, 2))
  one, other = np.random.default_rng(4).dirichlet(np.ones(6), 2)
  for share in (1e-3, 1e-8, 1e-13):
    weights = [0.5 - share / 2.0, 0.5 - share / 2.0, share]
    found = grid_barycenters.linear_programme(grid, [one, one, other], weights)
    expected = share * exact.w1(grid, grid, one, other)
    assert found.value == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(found.histogram, one, rtol=1e-9)


def test_points_too_far_apart_to_verify_are_refused():
  grid = np.array([[0.0], [1e-9], [2e-9], [1.0], [1e9], [2e9], [2e19]])
  rng = np.random.default_rng(5)
  bars = rng.dirichlet(np.ones(7), 3)
  bars[:, -3:] *= 1e-25
  bars /= bars.sum(1, keepdims=True)
  with pytest.raises(ValueError, match='far points'):
    grid_barycenters.linear_programme(grid, bars)


def test_entropic_barycenter_costs_little_more_than_the_exact_one():
  grid = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
  bars = np.random.default_rng(4).dirichlet(np.ones(4), 3)
  sure = grid_barycenters.linear_programme(grid, bars)
  near = grid_barycenters.entropic(grid, bars, epsilon=0.05)
  assert sure.value - 1e-6 <= near.value < 1.05 * sure.value
  for found in (sure, near):
    assert found.converged and found.histogram.min() >= 0.0
    assert found.histogram.sum() == pytest.approx(1.0, abs=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_grid_barycenters_are_no_worse_than_any_law(seed):
  rng = np.random.default_rng(seed)
  p, d, k = int(rng.integers(1, 7)), int(rng.integers(1, 3)), 3
  # Of few values, so that points repeat.
  grid = rng.integers(0, 4, size=(p, d)).astype(float)
  bars, weights = rng.dirichlet(np.ones(p), k), rng.dirichlet(np.ones(k))
  bars[0] = np.eye(p)[0]

  def value(histogram):
    return sum(
      w * exact.w1(grid, grid, bar, histogram)
      for w, bar in zip(weights, bars, strict=True)
    )

  found = grid_barycenters.linear_programme(grid, bars, weights)
  assert value(found.histogram) == pytest.approx(found.value, abs=1e-7)
  for other in (*bars, *rng.dirichlet(np.ones(p), 2)):
    assert found.value <= value(other) + 1e-7
  moved = grid_barycenters.linear_programme(2.0 * grid - 5.0, bars, weights)
  assert moved.value == pytest.approx(2.0 * found.value, abs=1e-7)
  order = [1, 2, 0]
  other = grid_barycenters.linear_programme(grid, bars[order], weights[order])
  assert other.value == pytest.approx(found.value, abs=1e-7)


def test_two_histograms_cost_half_their_distance_and_one_nothing():
  grid = np.array([[0.0], [1.0], [4.0], [6.0]])
  bars = np.random.default_rng(7).dirichlet(np.ones(4), 2)
  half = 0.5 * exact.w1(grid, grid, *bars)
  for solve in (
    grid_barycenters.linear_programme,
    lambda *a: grid_barycenters.entropic(*a, epsilon=0.05),
  ):
    assert solve(grid, bars).value == pytest.approx(half, rel=1e-2)
    one = solve(grid, bars, [0.0, 1.0])
    assert one.value == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(one.histogram, bars[1], atol=1e-4)


def test_an_epsilon_below_float32_is_refused():
  with pytest.raises(ValueError, match='^epsilon: 1e-300 is too small'):
    grid_barycenters.entropic(
      [[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], epsilon=1e-300
    )


@pytest.mark.parametrize('scale', [1e-30, 1e-6, 1e6, 1e30])
def test_entropic_barycenters_know_no_unit(scale):
  grid = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
  bars = np.random.default_rng(8).dirichlet(np.ones(3), 3)
  found = grid_barycenters.entropic(grid, bars, epsilon=0.1)
  scaled = grid_barycenters.entropic(scale * grid, bars, epsilon=0.1 * scale)
  assert scaled.converged
  np.testing.assert_allclose(scaled.histogram, found.histogram, rtol=1e-4)
  assert scaled.value == pytest.approx(scale * found.value, rel=1e-4, abs=0)


def test_entropic_barycenter_moves_and_scales_along():
  grid = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
  bars = np.random.default_rng(8).dirichlet(np.ones(4), 3)
  found = grid_barycenters.entropic(grid, bars, epsilon=0.1)
  moved = grid_barycenters.entropic(4.0 * grid - 1.0, bars, epsilon=0.4)
  assert moved.value == pytest.approx(4.0 * found.value, rel=1e-4)
  np.testing.assert_allclose(moved.histogram, found.histogram, atol=1e-4)
  early = grid_barycenters.entropic(grid, bars, epsilon=1e-3, iterations=1)
  sure = grid_barycenters.linear_programme(grid, bars)
  assert not early.converged and early.value >= sure.value - 1e-7


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: grid_barycenters.linear_programme([[np.inf]], [[1.0]]), 'points'),
    (lambda: grid_barycenters.linear_programme([[0.0]], [1.0]), 'histograms'),
    (
      lambda: grid_barycenters.linear_programme([[0.0], [1.0]], [[1.5, -0.5]]),
      r'histograms\[0\]',
    ),
    (
      lambda: grid_barycenters.linear_programme([[0.0]], [[1.0]], [0.5, 0.5]),
      'weights',
    ),
    (
      lambda: grid_barycenters.entropic(
        [[0.0]], [[1.0], [np.nan]], epsilon=1.0
      ),
      'histograms',
    ),
    (
      lambda: grid_barycenters.entropic(
        [[0.0]], [[1.0]], epsilon=1.0, iterations=0
      ),
      'iterations',
    ),
    (
      lambda: grid_barycenters.linear_programme([[0.0]], [[0.5]]),
      r'histograms\[0\]',
    ),
    (
      lambda: grid_barycenters.linear_programme(np.zeros((2000, 1)), np.full((2, 2000), 0.0005)),  # noqa: E501
      'points',
    ),
    *(
      (
        lambda bad=bad: grid_barycenters.entropic(
          [[0.0]], [[1.0]], epsilon=bad
        ),
        'epsilon',
      )
      for bad in (0.0, -1.0, np.nan, np.inf)
    ),
  ],
)  # fmt: skip
def test_bad_arguments_are_named(call, name):
  with pytest.raises(ValueError, match=f'^{name}: '):
    call()

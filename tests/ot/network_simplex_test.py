"""The network simplex against SciPy's programme, the line and its own sums."""

import fractions

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import optimize
from scipy import stats
from scipy.spatial import distance

from coalesce_jax.ot import network_simplex


def programme(cost, a, b):
  """The least cost by SciPy's linear programme."""
  n, m = cost.shape
  sums = np.zeros((n + m, n, m))
  sums[np.arange(n), np.arange(n)] = 1.0
  sums[n + np.arange(m), :, np.arange(m)] = 1.0
  found = optimize.linprog(
    cost.reshape(-1),
    A_eq=sums.reshape(n + m, -1)[:-1],
    b_eq=np.concatenate([a, b])[:-1],
    method='highs',
  )
  return found.fun


def sums_are(coupling, a, b):
  assert coupling.min() >= 0.0
  assert (coupling > 0.0).sum() <= len(a) + len(b) - 1
  np.testing.assert_allclose(coupling.sum(1), a / a.sum(), rtol=1e-12)
  np.testing.assert_allclose(coupling.sum(0), b / b.sum(), rtol=1e-12)


@given(st.integers(0, 10_000))
def test_plans_cost_what_a_linear_programme_costs(seed):
  rng = np.random.default_rng(seed)
  n, m = rng.integers(1, 12, 2)
  # Costs of any kind, with ties.
  cost = rng.integers(0, 5, (n, m)) + rng.integers(0, 2) * rng.random((n, m))
  a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
  found = network_simplex.solve(cost, a, b)
  sums_are(found, a, b)
  assert (found * cost).sum() == pytest.approx(programme(cost, a, b), abs=1e-7)


@pytest.mark.parametrize('equal', [True, False])
def test_degenerate_weights_end(equal):
  # Many partial sums agree, and many costs.
  rng = np.random.default_rng(0)
  x, y = rng.integers(0, 4, (2, 40, 2))
  cost = distance.cdist(x, y)
  a = np.ones(40) if equal else rng.integers(1, 3, 40) / 64.0
  b = np.ones(40) if equal else rng.permutation(a)
  found = network_simplex.solve(cost, a, b)
  sums_are(found, a, b)
  expected = programme(cost, a / a.sum(), b / b.sum())
  assert (found * cost).sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('lightest', [1e-8, 1e-18, 1e-200])
@pytest.mark.parametrize('far', [1.0, 1e6])
def test_light_weights_arrive(lightest, far):
  rng = np.random.default_rng(1)
  a = np.exp(rng.uniform(np.log(lightest), 0.0, 30))
  b = rng.dirichlet(np.ones(20))
  a /= a.sum()
  x, y = rng.normal(size=30), rng.normal(size=20)
  x = np.where(a < np.median(a), far * x, x)
  cost = np.abs(x[:, None] - y[None])
  found = network_simplex.solve(cost, a, b)
  sums_are(found, a, b)
  expected = stats.wasserstein_distance(x, y, a, b)
  assert (found * cost).sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('far', [1e6, 1e13])
def test_costs_of_very_different_sizes_keep_their_digits(far):
  rng = np.random.default_rng(2)
  x = rng.normal(size=(60, 2))
  y = x + 1e-6 * rng.normal(size=(60, 2))
  x[:9] += far
  y[:9] += far
  a = rng.dirichlet(np.ones(60))
  cost = distance.cdist(x, y)
  value = (network_simplex.solve(cost, a, a) * cost).sum()
  # Within each cluster, whose masses agree.
  near = sum(
    a[part].sum()
    * (network_simplex.solve(cost[part, part], a[part], a[part])
       * cost[part, part]).sum()
    for part in (slice(9), slice(9, None))
  )  # fmt: skip
  assert value == pytest.approx(near, rel=1e-9, abs=0)


def test_small_costs_among_large_ones_are_optimal():
  # Optimal costs of 1e-9 beside others of 1e14: no cheaper permutation of the
  # small block exists, which is solved alone.
  rng = np.random.default_rng(3)
  cost = rng.random((60, 60)) * 1e14
  block = 1e-9 * rng.random((30, 30))
  cost[:30, :30] = cost[30:, 30:] = block
  found = network_simplex.solve(cost, np.ones(60), np.ones(60))
  rows, columns = optimize.linear_sum_assignment(block)
  value = (found * cost).sum()
  assert value == pytest.approx(block[rows, columns].mean(), rel=1e-9, abs=0)
  mirrored = network_simplex.solve(cost.T, np.ones(60), np.ones(60))
  assert (mirrored * cost.T).sum() == pytest.approx(value, rel=1e-9, abs=0)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=5))
def test_balanced_masses_have_the_ratios_of_weights(weights):
  b = [0.5, 0.25, 1.0]
  up, down = network_simplex.balanced(np.array(weights), np.array(b))
  assert sum(up) == sum(down)
  total = sum(fractions.Fraction(w) for w in weights)
  for x, w in zip(up, weights, strict=True):
    assert fractions.Fraction(x, sum(up)) == fractions.Fraction(w) / total
  assert [fractions.Fraction(x, sum(down)) for x in down] == [
    fractions.Fraction(4 * w) / 7 for w in map(fractions.Fraction, b)
  ]

"""W1 on the line against SciPy, fractions and sums over quantiles."""

import fractions

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.ot import lines


def exactly(x, y, a, b):
  """The integral of |F - G| in rational numbers."""
  up = [fractions.Fraction(float(v)) for v in a]
  down = [fractions.Fraction(float(v)) for v in b]
  masses = [v / sum(up) for v in up] + [-v / sum(down) for v in down]
  points = [fractions.Fraction(float(v)) for v in (*x, *y)]
  order = sorted(range(len(points)), key=points.__getitem__)
  total, level = fractions.Fraction(0), fractions.Fraction(0)
  for i, j in zip(order, order[1:], strict=False):
    level += masses[i]
    total += abs(level) * (points[j] - points[i])
  return float(total)


@given(st.integers(0, 10_000))
def test_points_of_equal_weights_equal_scipy(seed):
  rng = np.random.default_rng(seed)
  n, m = rng.integers(1, 20, 2)
  x, y = np.sort(rng.normal(size=n)), np.sort(rng.integers(0, 3, m) + 0.5)
  found = lines.equal(x, y, lines.levels(n, m))
  assert found == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-12)


@pytest.mark.parametrize('n,m', [(1, 1), (1, 5), (4, 6), (7, 7), (9, 4)])
def test_levels_are_the_intervals_of_both_quantile_functions(n, m):
  found = lines.levels(n, m)
  assert found.lengths.sum() == pytest.approx(1.0, rel=1e-15)
  assert (found.lengths > 0.0).sum() == n + m - np.gcd(n, m)
  for rows, size in ((found.rows, n), (found.columns, m)):
    each = np.bincount(rows, found.lengths, size)
    np.testing.assert_allclose(each, 1.0 / size, rtol=1e-14)


@given(st.integers(0, 10_000))
def test_weights_of_any_size_have_the_value_of_fractions(seed):
  rng = np.random.default_rng(seed)
  n, m = rng.integers(1, 12, 2)
  spread = rng.choice([1.0, 30.0, 400.0])
  a, b = (np.exp(-spread * rng.random(k)) for k in (n, m))
  x, y = rng.normal(size=n), rng.normal(size=m)
  x = np.where(a < np.median(a), 10.0 ** rng.integers(0, 12) * x, x)
  a[rng.integers(n)] = 1.0
  found = lines.weighted(x, y, a, b)
  assert found == pytest.approx(exactly(x, y, a, b), rel=1e-9, abs=0)


@pytest.mark.parametrize('far', [1.0, 1e9, 1e15])
def test_masses_that_cancel_far_out_leave_no_rounding(far):
  rng = np.random.default_rng(3)
  x, a = rng.normal(size=40), rng.dirichlet(np.ones(40))
  y = x + 1e-6
  x[0] = y[0] = far
  # In another order and in halves, sums of the same masses round otherwise.
  order = rng.permutation(80)
  b, y = np.repeat(a / 2.0, 2)[order], np.repeat(y, 2)[order]
  found = lines.weighted(x, y, a, b)
  assert found == pytest.approx(exactly(x, y, a, b), rel=1e-9, abs=0)
  assert lines.weighted(x, x[::-1], a, a[::-1]) == 0.0


def test_many_points_have_the_value_of_scipy():
  rng = np.random.default_rng(4)
  x, y = rng.normal(size=20_000), 1.5 * rng.normal(size=30_000)
  a, b = rng.dirichlet(np.ones(20_000)), rng.dirichlet(np.ones(30_000))
  expected = stats.wasserstein_distance(x, y, a, b)
  assert lines.weighted(x, y, a, b) == pytest.approx(expected, rel=1e-10)
  # Without weights, and with the same ones given.
  same = lines.weighted(x, y, np.ones(20_000), np.ones(30_000))
  at = lines.levels(20_000, 30_000)
  found = lines.equal(np.sort(x), np.sort(y), at)
  assert found == pytest.approx(same, rel=1e-10)

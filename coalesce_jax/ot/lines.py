r"""Computes the exact Wasserstein-1 distance on the line.

.. math:: W_1 = \int |F - G| \, dx = \int_0^1 |F^{-1} - G^{-1}| \, dt

F and G are the distribution functions of the two point clouds. Points of equal
weights need only be sorted; other weights are summed along the line.

Shapes: N, M points, L levels. Distances are in data units.
"""

from typing import NamedTuple

import numpy as np

from coalesce_jax.ot import network_simplex

# Largest bound of the rounding error of a value, relative to it. A value that
# might have a larger one is computed from integers.
ROUNDING = 1e-10
# Bounds, in units of rounding, what the sums of all weights add to a difference
# of distribution functions. NumPy adds in pairs.
_OF_SUMS = 100.0


class Levels(NamedTuple):
  """Intervals of probabilities on which both quantile functions are constant.

  Attributes:
    rows: the sorted point of the first cloud on each interval, `[L]`.
    columns: that of the second cloud, `[L]`.
    lengths: lengths of the intervals, `[L]`, which sum to 1.
  """

  rows: np.ndarray
  columns: np.ndarray
  lengths: np.ndarray


def levels(n: int, m: int) -> Levels:
  """Returns the intervals for two clouds of N and M points of equal weights."""
  # In units of 1 / (N M) all ends are integers. Equal ends are an interval of
  # length 0. The stable sort merges two runs.
  rows = np.arange(1, n + 1, dtype=np.int64) * m
  columns = np.arange(1, m + 1, dtype=np.int64) * n
  ends = np.sort(np.concatenate([rows, columns]), kind='stable')
  lengths = np.diff(ends, prepend=0) / (n * m)
  return Levels((ends - 1) // m, (ends - 1) // n, lengths)


def equal(x: np.ndarray, y: np.ndarray, at: Levels) -> float:
  """Computes W1 of points of equal weights.

  Args:
    x: sorted points, `[N]`.
    y: sorted points, `[M]`.
    at: the levels of N and M.
  """
  return float(at.lengths @ np.abs(x[at.rows] - y[at.columns]))


def weighted(
  x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray
) -> float:
  """Computes W1 of weighted points, to a relative error of 1e-10.

  The distribution functions are summed in extended precision. If a bound of
  their rounding is not small beside the value, they are summed as integers.

  Args:
    x: `[N]`.
    y: `[M]`.
    a: weights of at least 0, not all 0, `[N]`. They are divided by their sum.
    b: those of `y`, `[M]`.
  """
  points = np.concatenate([x, y])
  order = np.argsort(points, kind='stable')
  gaps = np.diff(points[order])
  high, low = a.astype(np.longdouble), b.astype(np.longdouble)
  masses = np.concatenate([high / high.sum(), -low / low.sum()])
  between = np.abs(np.cumsum(masses[order])[:-1])
  value = float(gaps @ between.astype(np.float64))
  # Each addition rounds its result.
  rounded = float(gaps @ np.cumsum(between).astype(np.float64))
  rounded += _OF_SUMS * float(gaps.sum())
  if float(np.finfo(np.longdouble).eps) * rounded <= ROUNDING * value:
    return value
  up, down = network_simplex.balanced(a, b)
  whole = np.array([*up, *(-mass for mass in down)], object)
  sums = np.abs(np.cumsum(whole[order])[:-1]) / sum(up)
  return float(np.sum(gaps * sums.astype(np.float64)))

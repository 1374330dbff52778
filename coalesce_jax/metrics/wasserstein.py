"""Exact Wasserstein-1 distance between equal feature clouds.

Shapes: N samples; F features. In feature units.
"""

import numpy as np
from scipy import optimize
from scipy.spatial import distance

from coalesce_jax.metrics import frechet


def w1_exact(a: np.ndarray, b: np.ndarray) -> float:
  """Exact W1 between two uniform clouds of equal size, by assignment.

  As an estimate of the distance between laws it is biased upwards, even for
  equal laws: show it beside the value of two samples of one law.

  Args:
    a: `[N, F]`.
    b: `[N, F]`.

  Raises:
    ValueError: sizes differ.
  """
  a, b = frechet.check(a), frechet.check(b)
  if a.shape != b.shape:
    raise ValueError(f'clouds {a.shape} and {b.shape} differ in size')
  cost = distance.cdist(a, b)
  rows, columns = optimize.linear_sum_assignment(cost)
  return float(cost[rows, columns].mean())

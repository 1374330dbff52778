r"""Computes W1 barycenters of distributions on the points of a grid.

.. math:: \min_\nu \sum_k w_k W_1(\mu_k, \nu)

The exact solution comes from a linear programme; an approximation for larger
grids comes from entropic regularisation. Carlier, Chenchene, Eichinger,
https://arxiv.org/abs/2307.01765.

Shapes: K distributions, P points of a grid, D dimensions. Distances are in data
units.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import geometry
from ott.problems.linear import barycenter_problem
from ott.solvers.linear import discrete_barycenter
from scipy import optimize
from scipy import sparse
from scipy.spatial import distance

from coalesce_jax.ot import exact
from coalesce_jax.ot import validation

MAX_PROGRAMME = 4_000_000


class Histogram(NamedTuple):
  """A barycenter on a grid.

  Attributes:
    histogram: probabilities `[P]`.
    value: weighted sum of its exact W1 distances to the inputs.
    converged: whether the solver converged.
  """

  histogram: np.ndarray
  value: float
  converged: bool


def linear_programme(
  points: Any, histograms: Any, weights: Any = None
) -> Histogram:
  """Computes an exact W1 barycenter on a grid by a linear programme.

  Args:
    points: points of the grid, `[P, D]`.
    histograms: `[K, P]`, each sums to 1.
    weights: `[K]`, sum to 1; None is equal weights.

  Raises:
    ValueError: an argument is invalid, or K P P exceeds 4 million variables.
    RuntimeError: the solver failed.
  """
  points, bars, w = _grid(points, histograms, weights)
  count, size = bars.shape
  if count * size * size > MAX_PROGRAMME:
    raise ValueError(
      f'points: {count} x {size} x {size} variables are more than '
      f'{MAX_PROGRAMME}; use fewer points'
    )
  cost = distance.cdist(points, points).reshape(-1)
  # HiGHS treats costs below 1e-7 as 0.
  unit = max(float(cost.max()), 1e-300)
  cost = cost / unit
  ones, eye = np.ones((1, size)), sparse.eye(size)
  # The row sums of a plan are an input, its column sums are the barycenter.
  rows = sparse.kron(eye, ones)
  columns = sparse.kron(ones, eye)
  inputs = sparse.hstack(
    [
      sparse.block_diag([rows] * count),
      sparse.csr_matrix((count * size, size)),
    ]
  )
  outputs = sparse.hstack(
    [
      sparse.block_diag([columns] * count),
      sparse.vstack([-sparse.eye(size)] * count),
    ]
  )
  found = optimize.linprog(
    np.concatenate([np.concatenate([wk * cost for wk in w]), np.zeros(size)]),
    A_eq=sparse.vstack([inputs, outputs]).tocsr(),
    b_eq=np.concatenate([bars.reshape(-1), np.zeros(count * size)]),
    bounds=(0.0, None),
    method='highs',
  )
  if found.status != 0:
    raise RuntimeError(f'the linear programme failed: {found.message}')
  histogram = found.x[-size:].clip(0.0)
  value = unit * float(found.fun)
  return Histogram(histogram / histogram.sum(), value, True)


def entropic(
  points: Any,
  histograms: Any,
  weights: Any = None,
  *,
  epsilon: float,
  iterations: int = 20_000,
) -> Histogram:
  """Computes an entropic W1 barycenter on a grid by ott-jax.

  Args:
    points: points of the grid, `[P, D]`.
    histograms: `[K, P]`, each sums to 1.
    weights: `[K]`, sum to 1; None is equal weights.
    epsilon: regularisation in data units, which blurs the barycenter.
    iterations: largest number of iterations.

  Returns:
    The histogram. Its value is computed from exact W1 distances and is an upper
    bound of the least value.

  Raises:
    ValueError: an argument is invalid.
  """
  points, bars, w = _grid(points, histograms, weights)
  if not (np.isfinite(epsilon) and epsilon > 0.0):
    raise ValueError(f'epsilon: {epsilon} is not positive')
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  cost = distance.cdist(points, points)
  with jax.numpy_rank_promotion('allow'):
    problem = barycenter_problem.FixedBarycenterProblem(
      geometry.Geometry(jnp.asarray(cost, jnp.float32), epsilon=epsilon),
      a=jnp.asarray(bars, jnp.float32),
      weights=jnp.asarray(w, jnp.float32),
    )
    solver = discrete_barycenter.FixedBarycenter(
      threshold=1e-3, max_iterations=iterations
    )
    out = solver(problem)
  histogram = np.asarray(out.histogram, np.float64).clip(0.0)
  histogram /= histogram.sum()
  errors = np.asarray(out.errors)
  done = errors[errors >= 0.0]
  value = sum(
    wk * exact.w1(points, points, bar, histogram)
    for wk, bar in zip(w, bars, strict=True)
  )
  converged = bool(len(done) and done[-1] <= 1e-3)
  return Histogram(histogram, float(value), converged)


def _grid(points: Any, histograms: Any, weights: Any) -> Any:
  points = validation.point_cloud(points, 'points')
  bars = validation.point_cloud(histograms, 'histograms')
  bars = np.stack(
    [
      validation.weights(bar, len(points), f'histograms[{k}]')
      for k, bar in enumerate(bars)
    ]
  )
  return points, bars, validation.weights(weights, len(bars))

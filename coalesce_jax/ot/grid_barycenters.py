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
from scipy import sparse

from coalesce_jax.ot import exact
from coalesce_jax.ot import refined_programme
from coalesce_jax.ot import validation

MAX_PROGRAMME = 4_000_000
# Largest difference of a value and its dual bound, relative to the value.
GAP = 1e-9


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

  Returns:
    The histogram and its value from exact W1 distances. A dual bound verifies
    that no histogram has a value less by more than 1e-9 of it, or by more than
    float64 rounding of the probabilities costs.

  Raises:
    ValueError: an argument is invalid, K P P exceeds 4 million variables, or
      the optimum cannot be verified.
  """
  points, bars, w = _grid(points, histograms, weights)
  count, size = bars.shape
  if count * size * size > MAX_PROGRAMME:
    raise ValueError(
      f'points: {count} x {size} x {size} variables are more than '
      f'{MAX_PROGRAMME}; use fewer points'
    )
  cost = exact.cost_matrix(points, points)
  unit = float(cost.max()) or 1.0
  priced = w[:, None, None] * (cost / unit)[None]
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
  # What rounding of the largest probability costs at most.
  rounding = 2.0 * float(np.finfo(np.float64).eps) * unit
  for x, y in refined_programme.solutions(
    np.concatenate([priced.reshape(-1), np.zeros(size)]),
    sparse.vstack([inputs, outputs]),
    np.concatenate([bars.reshape(-1), np.zeros(count * size)]),
  ):
    histogram = np.asarray(x[-size:], np.float64).clip(0.0)
    histogram /= histogram.sum()
    plans = [exact.plan(points, points, bar, histogram) for bar in bars]
    value = float(w @ np.array([plan.value for plan in plans]))
    couplings = np.stack([plan.coupling for plan in plans])
    gap = unit * _gap(priced, couplings, histogram, y[-count * size :])
    if gap <= GAP * value or value <= rounding:
      break
  if gap <= max(GAP * value, rounding):
    return Histogram(histogram, value, True)
  raise ValueError(
    f'points, histograms: distances up to {unit:.3g} for a mean of {value:.3g} '
    'are of too different sizes for a verified optimum; remove far points'
  )


def _gap(
  priced: np.ndarray,
  couplings: np.ndarray,
  histogram: np.ndarray,
  multipliers: np.ndarray,
) -> float:
  """Bounds what a histogram costs above the least value.

  Args:
    priced: weighted costs, `[K, P, P]`.
    couplings: of the inputs and the histogram, `[K, P, P]`.
    histogram: `[P]`.
    multipliers: approximate dual potentials of the histogram, `[K P]`.
  """
  dual = np.asarray(multipliers).reshape(len(priced), -1)
  # Potentials are free up to a constant each, and must not sum below 0.
  dual = dual - dual[:, [int(histogram.argmax())]]
  dual = dual - np.minimum(dual.sum(0), 0.0)[None] / len(dual)
  reduced = priced - dual[:, None]
  # A coupling stays where its reduced cost is least. All terms are at least 0.
  excess = (couplings * (reduced - reduced.min(2)[:, :, None])).sum()
  return float(excess + histogram @ dual.sum(0))


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
    ValueError: an argument is invalid, or epsilon is too small for float32.
  """
  points, bars, w = _grid(points, histograms, weights)
  if not (np.isfinite(epsilon) and epsilon > 0.0):
    raise ValueError(f'epsilon: {epsilon} is not positive')
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  cost = exact.cost_matrix(points, points)
  with jax.numpy_rank_promotion('allow'), np.errstate(over='ignore'):
    problem = barycenter_problem.FixedBarycenterProblem(
      # In units of epsilon, so that no data are too small for float32.
      geometry.Geometry(jnp.asarray(cost / epsilon, jnp.float32), epsilon=1.0),
      a=jnp.asarray(bars, jnp.float32),
      weights=jnp.asarray(w, jnp.float32),
    )
    solver = discrete_barycenter.FixedBarycenter(
      threshold=1e-3, max_iterations=iterations
    )
    out = solver(problem)
  histogram = np.asarray(out.histogram, np.float64).clip(0.0)
  if not (np.isfinite(histogram).all() and histogram.sum() > 0.0):
    raise ValueError(
      f'epsilon: {epsilon} is too small beside distances up to '
      f'{cost.max():.3g}; raise it'
    )
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

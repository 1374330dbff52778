r"""Wasserstein medians: exact W1 barycenters where they can be computed.

.. math:: \min_\nu \sum_k w_k W_1(\mu_k, \nu)

On the line by weighted medians of quantile functions or of distribution
functions; of translates by the Fermat-Weber point of their means; on a grid by
linear programme. Carlier, Chenchene, Eichinger,
https://arxiv.org/abs/2307.01765.

Shapes: K laws, N points, D dimensions, P points of a grid.
"""

from collections.abc import Sequence
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


class Point(NamedTuple):
  """A minimiser.

  Attributes:
    point: `[D]`.
    value: weighted sum of its distances.
  """

  point: np.ndarray
  value: float


class Histogram(NamedTuple):
  """A barycenter on a grid.

  Attributes:
    histogram: probabilities `[P]`.
    value: weighted sum of its exact W1 distances to the inputs.
    converged: of the solver.
  """

  histogram: np.ndarray
  value: float
  converged: bool


def weighted_median(values: Any, weights: Any = None) -> np.ndarray:
  """The weighted median along axis 0, the lowest where there are several.

  Args:
    values: `[K, ...]`.
    weights: `[K]`, sum to 1; None is equal weights.
  """
  values = validation.array(values, 'values')
  if values.ndim < 1 or not values.size:
    raise ValueError(f'values: shape {values.shape} is empty')
  if not np.isfinite(values).all():
    raise ValueError('values: not all finite')
  weights = validation.weights(weights, len(values))
  order = np.argsort(values, 0, kind='stable')
  # Rounding must not carry an exact half beyond itself.
  reached = np.cumsum(weights[order], 0) >= 0.5 - 1e-12
  pick = np.take_along_axis(order, reached.argmax(0)[None], 0)
  return np.take_along_axis(values, pick, 0)[0]


def quantiles(x: Any, levels: Any, weights: Any = None) -> np.ndarray:
  """The quantile function of a cloud on the line at `levels` in (0, 1)."""
  x, weights = validation.weighted(validation.line(x), weights, 'weights')
  levels = validation.array(levels, 'levels')
  if not ((levels > 0.0) & (levels < 1.0)).all():
    raise ValueError('levels: not all inside (0, 1)')
  order = np.argsort(x, kind='stable')
  cumulative = np.cumsum(weights[order])
  index = np.searchsorted(cumulative, levels - 1e-12)
  return x[order][np.minimum(index, len(x) - 1)]


def quantile_median(
  clouds: Sequence[Any], weights: Any = None, *, levels: Any
) -> np.ndarray:
  """Quantiles at `levels` of a W1 barycenter of clouds on the line.

  The weighted median of the quantile functions; a barycenter for any K.
  """
  parts = _lines(clouds)
  return weighted_median([quantiles(p, levels) for p in parts], weights)


def line_value(clouds: Sequence[Any], weights: Any = None) -> float:
  r"""The least weighted sum of W1 distances to clouds on the line, exact.

  :math:`\int \sum_k w_k |F_k - m| \, dx` with m the weighted median of the
  distribution functions, which is that of a barycenter.

  Args:
    clouds: K arrays `[N_k]`, of any sizes.
    weights: `[K]`, sum to 1; None is equal weights.
  """
  parts = _lines(clouds)
  w = validation.weights(weights, len(parts))
  points = np.unique(np.concatenate(parts))
  if len(points) == 1:
    return 0.0
  cdfs = np.stack(
    [np.searchsorted(np.sort(p), points[:-1], 'right') / len(p) for p in parts]
  )
  gap = w @ np.abs(cdfs - weighted_median(cdfs, w)[None])
  return float(gap @ np.diff(points))


def fermat_weber(
  points: Any,
  weights: Any = None,
  *,
  tolerance: float = 1e-10,
  iterations: int = 100_000,
) -> Point:
  """The point of least weighted distance to the given ones, exact.

  Weiszfeld's iteration as mended by Vardi and Zhang,
  https://doi.org/10.1073/pnas.97.4.1423. Its value is that of the W1
  barycenter of translates of one law by these points.

  Args:
    points: `[K, D]`; on the line a median, the lowest.
    weights: `[K]`, sum to 1; None is equal weights.
    tolerance: bound of the subgradient at which to stop.
    iterations: at most.

  Raises:
    ValueError: bad points or weights.
    RuntimeError: not converged.
  """
  all_points = validation.cloud(points, 'points')
  x, w = validation.weighted(all_points, weights, 'weights')
  if x.shape[1] == 1:
    y = weighted_median(x, w)
    return Point(y, float(w @ np.abs(x - y[None])[:, 0]))
  # A data point whose weight outweighs the pull of all others is the answer.
  for candidate in np.unique(x, axis=0):
    pull, own, _ = _pull(x, w, candidate)
    if np.linalg.norm(pull) <= own + tolerance:
      return Point(candidate, float(w @ _norms(x - candidate[None])))
  # Far from the origin steps would drown in rounding.
  origin = x.mean(0)
  x = x - origin[None]
  y = w @ x
  for _ in range(iterations):
    pull, own, inverse = _pull(x, w, y)
    size = np.linalg.norm(pull)
    if size <= tolerance:
      return Point(y + origin, float(w @ _norms(x - y[None])))
    y = y + max(0.0, 1.0 - own / size) * pull / inverse
  raise RuntimeError(f'not converged in {iterations} iterations')


def grid_barycenter_lp(
  points: Any, histograms: Any, weights: Any = None
) -> Histogram:
  """The exact W1 barycenter among laws on given points, by linear programme.

  Args:
    points: `[P, D]`.
    histograms: `[K, P]`, each sums to 1.
    weights: `[K]`, sum to 1; None is equal weights.

  Raises:
    ValueError: bad input, or K P P above 4 million variables.
    RuntimeError: the solver failed.
  """
  points, bars, w = _grid(points, histograms, weights)
  count, size = bars.shape
  if count * size * size > MAX_PROGRAMME:
    raise ValueError(f'points: {count} x {size} x {size} variables, too many')
  cost = distance.cdist(points, points).reshape(-1)
  # HiGHS takes a cost below 1e-7 for none.
  unit = max(float(cost.max()), 1e-300)
  cost = cost / unit
  ones, eye = np.ones((1, size)), sparse.eye(size)
  rows = sparse.kron(eye, ones)  # Sums over targets: the inputs.
  columns = sparse.kron(ones, eye)  # Sums over inputs: the barycenter.
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


def grid_barycenter(
  points: Any,
  histograms: Any,
  weights: Any = None,
  *,
  epsilon: float,
  iterations: int = 20_000,
) -> Histogram:
  """The entropic W1 barycenter among laws on given points, by ott-jax.

  Args:
    points: `[P, D]`.
    histograms: `[K, P]`, each sums to 1.
    weights: `[K]`, sum to 1; None is equal weights.
    epsilon: regularisation in data units; it blurs.
    iterations: at most.

  Returns:
    The histogram and its true weighted sum of exact W1 distances, an upper
    bound of the least one; `converged` says whether the solver was done.
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


def _lines(clouds: Sequence[Any]) -> list[np.ndarray]:
  parts = [validation.line(c, f'clouds[{k}]') for k, c in enumerate(clouds)]
  if not parts:
    raise ValueError('clouds: there are none')
  return parts


def _pull(x, w, y):
  """Sum of weighted unit vectors from `y`, own weight, sum of inverses."""
  gap = x - y[None]
  norms = _norms(gap)
  apart = norms > 0.0
  inverse = w[apart] / norms[apart]
  return inverse @ gap[apart], float(w[~apart].sum()), float(inverse.sum())


def _norms(gap: np.ndarray) -> np.ndarray:
  return np.linalg.norm(gap, axis=1)


def _grid(points: Any, histograms: Any, weights: Any) -> Any:
  points = validation.cloud(points, 'points')
  bars = validation.cloud(histograms, 'histograms')
  bars = np.stack(
    [
      validation.weights(bar, len(points), f'histograms[{k}]')
      for k, bar in enumerate(bars)
    ]
  )
  return points, bars, validation.weights(weights, len(bars))

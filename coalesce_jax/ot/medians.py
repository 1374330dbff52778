r"""Computes exact W1 barycenters, also called Wasserstein medians.

.. math:: \min_\nu \sum_k w_k W_1(\mu_k, \nu)

On the line they are weighted medians of quantile functions or of distribution
functions. For translates of one distribution they are given by the Fermat-Weber
point of its means. `grid_barycenters` solves the problem on a grid.

Carlier, Chenchene, Eichinger, https://arxiv.org/abs/2307.01765.

Shapes: K distributions, N points, D dimensions. Distances are in data units.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.ot import validation


class Point(NamedTuple):
  """The point of least weighted distance.

  Attributes:
    point: `[D]`.
    value: weighted sum of its distances to the given points.
  """

  point: np.ndarray
  value: float


def weighted_median(values: Any, weights: Any = None) -> np.ndarray:
  """Computes the weighted median along axis 0, the lowest if not unique.

  Args:
    values: `[K, ...]`.
    weights: `[K]`, sum to 1; None is equal weights.

  Returns:
    `[...]`.

  Raises:
    ValueError: the values are empty or not finite, or the weights are invalid.
  """
  values = validation.array(values, 'values')
  if values.ndim < 1 or not values.size:
    raise ValueError(f'values: shape {values.shape} is empty')
  if not np.isfinite(values).all():
    raise ValueError('values: not all finite')
  weights = validation.weights(weights, len(values))
  order = np.argsort(values, 0, kind='stable')
  # An exact half must count as reached in spite of rounding.
  reached = np.cumsum(weights[order], 0) >= 0.5 - _rounding(len(values))
  pick = np.take_along_axis(order, reached.argmax(0)[None], 0)
  return np.take_along_axis(values, pick, 0)[0]


def quantiles(x: Any, levels: Any, weights: Any = None) -> np.ndarray:
  """Computes the quantile function of a point cloud on the line.

  Args:
    x: `[N]` or `[N, 1]`.
    levels: where to evaluate it, in (0, 1), of any shape.
    weights: `[N]`, sum to 1; None is equal weights.

  Returns:
    Quantiles of the shape of `levels`.

  Raises:
    ValueError: an argument is invalid.
  """
  x, weights = validation.weighted(validation.line(x), weights, 'weights')
  levels = validation.array(levels, 'levels')
  if not ((levels > 0.0) & (levels < 1.0)).all():
    raise ValueError('levels: not all inside (0, 1)')
  order = np.argsort(x, kind='stable')
  cumulative = np.cumsum(weights[order])
  # Relative to the level, so that light points of a tail count.
  index = np.searchsorted(cumulative, levels * (1.0 - _rounding(len(x))))
  return x[order][np.minimum(index, len(x) - 1)]


def quantile_median(
  point_clouds: Sequence[Any], weights: Any = None, *, levels: Any
) -> np.ndarray:
  """Computes the quantiles of a W1 barycenter of point clouds on the line.

  The weighted median of the quantile functions is the quantile function of a
  barycenter.

  Args:
    point_clouds: K arrays `[N_k]`, of any sizes.
    weights: `[K]`, sum to 1; None is equal weights.
    levels: where to evaluate the quantile function, in (0, 1).

  Raises:
    ValueError: an argument is invalid.
  """
  lines = _lines(point_clouds)
  return weighted_median([quantiles(p, levels) for p in lines], weights)


def line_value(point_clouds: Sequence[Any], weights: Any = None) -> float:
  r"""Computes the exact least weighted sum of W1 to point clouds on the line.

  It is :math:`\int \sum_k w_k |F_k - m| \, dx`. Here m is the weighted median
  of the distribution functions, which is that of a barycenter.

  Args:
    point_clouds: K arrays `[N_k]`, of any sizes.
    weights: `[K]`, sum to 1; None is equal weights.

  Raises:
    ValueError: an argument is invalid.
  """
  lines = _lines(point_clouds)
  w = validation.weights(weights, len(lines))
  points = np.unique(np.concatenate(lines))
  if len(points) == 1:
    return 0.0
  cdfs = np.stack(
    [np.searchsorted(np.sort(p), points[:-1], 'right') / len(p) for p in lines]
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
  """Computes the point of least weighted distance to the given points.

  It uses Weiszfeld's iteration with the correction of Vardi and Zhang,
  https://doi.org/10.1073/pnas.97.4.1423. The value equals that of the W1
  barycenter of translates of one distribution by these points.

  Args:
    points: `[K, D]`.
    weights: `[K]`, sum to 1; None is equal weights.
    tolerance: norm of the subgradient below which the iteration stops.
    iterations: largest number of iterations.

  Returns:
    The exact point and value. In one dimension it is the lowest median.

  Raises:
    ValueError: the points or weights are invalid.
    RuntimeError: the iteration did not converge.
  """
  all_points = validation.point_cloud(points, 'points')
  x, w = validation.weighted(all_points, weights, 'weights')
  if x.shape[1] == 1:
    y = weighted_median(x, w)
    return Point(y, float(w @ np.abs(x - y[None])[:, 0]))
  # In a power of 2 that keeps squares inside float64.
  unit = 2.0 ** int(np.frexp(np.abs(x).max())[1])
  x = x / unit
  # A given point is the solution if its weight exceeds the pull of all others.
  least, origin = np.inf, x[0]
  for candidate in np.unique(x, axis=0):
    pull, own, _ = _pull(x, w, candidate)
    value = float(w @ _norms(x - candidate[None]))
    if np.linalg.norm(pull) <= own + tolerance:
      return Point(unit * candidate, unit * value)
    if value < least:
      least, origin = value, candidate
  # Far from the origin rounding would exceed the steps.
  x = x - origin[None]
  y = w @ x
  for _ in range(iterations):
    pull, own, inverse = _pull(x, w, y)
    size = np.linalg.norm(pull)
    if size <= tolerance:
      value = float(w @ _norms(x - y[None]))
      return Point(unit * (y + origin), unit * value)
    y = y + max(0.0, 1.0 - own / size) * pull / inverse
  raise RuntimeError(f'not converged in {iterations} iterations')


def _lines(point_clouds: Sequence[Any]) -> list[np.ndarray]:
  lines = [
    validation.line(points, f'point_clouds[{k}]')
    for k, points in enumerate(point_clouds)
  ]
  if not lines:
    raise ValueError('point_clouds: there are none')
  return lines


def _rounding(count: int) -> float:
  """Bounds the rounding error of a sum of `count` probabilities."""
  return 4.0 * count * float(np.finfo(np.float64).eps)


def _pull(x, w, y):
  """Returns the pull of the other points on `y`, its weight, and 1 / step."""
  gap = x - y[None]
  norms = _norms(gap)
  apart = norms > 0.0
  inverse = w[apart] / norms[apart]
  return inverse @ gap[apart], float(w[~apart].sum()), float(inverse.sum())


def _norms(gap: np.ndarray) -> np.ndarray:
  return np.linalg.norm(gap, axis=1)

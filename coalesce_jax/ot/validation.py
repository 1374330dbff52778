"""Checks the arguments of the functions of this folder.

Shapes: J sets of points, N points, D dimensions.
"""

from typing import Any

import numpy as np

from coalesce_jax.core import real_arrays

# Sums of a few larger numbers, or of their distances, may exceed float64.
LARGEST = 1e300


def array(values: Any, name: str) -> np.ndarray:
  """Returns numbers as a float64 array.

  Raises:
    ValueError: the values are no real numbers, are masked, or rows differ in
      length. The message starts with `name`.
  """
  return real_arrays.convert(values, name)


def point_cloud(x: Any, name: str = 'x') -> np.ndarray:
  """Returns points `[N >= 1, D >= 1]` in float64.

  Raises:
    ValueError: the shape is another, or values are not finite or exceed
      `LARGEST`. The message starts with `name`.
  """
  points = array(x, name)
  if points.ndim != 2 or 0 in points.shape:
    raise ValueError(f'{name}: shape {points.shape} is not [N >= 1, D >= 1]')
  if not np.isfinite(points).all():
    raise ValueError(f'{name}: values are not all finite')
  if np.abs(points).max() > LARGEST:
    raise ValueError(f'{name}: values exceed {LARGEST:g}; use other units')
  return points


def clouds(x: Any, name: str = 'samples') -> np.ndarray:
  """Returns J sets of as many points, `[J >= 1, N >= 1, D >= 1]` in float64.

  Raises:
    ValueError: see `point_cloud`.
  """
  found = array(x, name)
  if found.ndim != 3 or 0 in found.shape:
    raise ValueError(f'{name}: shape {found.shape} is not [J, N, D]')
  for j, cloud in enumerate(found):
    point_cloud(cloud, f'{name}[{j}]')
  return found


def line(x: Any, name: str = 'x') -> np.ndarray:
  """Returns points on the line, given as `[N]` or `[N, 1]`, as `[N]`.

  Raises:
    ValueError: the shape is another, or values are not finite. The message
      starts with `name`.
  """
  points = array(x, name)
  if points.ndim == 1:
    points = points[:, None]
  points = point_cloud(points, name)
  if points.shape[1] != 1:
    raise ValueError(f'{name}: {points.shape[1]} dimensions, not 1')
  return points[:, 0]


def pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns two point clouds of the same dimension.

  Raises:
    ValueError: the dimensions differ, or a point cloud is invalid.
  """
  x, y = point_cloud(x, 'x'), point_cloud(y, 'y')
  if x.shape[1] != y.shape[1]:
    raise ValueError(f'y: {y.shape[1]} dimensions, x has {x.shape[1]}')
  return x, y


def weights(values: Any, count: int, name: str = 'weights') -> np.ndarray:
  """Returns probabilities `[count]` with sum 1; None is equal probabilities.

  Raises:
    ValueError: the values have another length, are negative or not finite, or
      differ in sum from 1 by more than 1e-6. The message starts with `name`.
  """
  if values is None:
    return np.full(count, 1.0 / count)
  found = masses(values, count, name)
  return found / found.sum()


def masses(values: Any, count: int, name: str = 'weights') -> np.ndarray:
  """Returns weights `[count]` as they are; None is `count` times 1.

  Exact solvers divide them by their sum without rounding.

  Raises:
    ValueError: see `weights`.
  """
  if values is None:
    return np.ones(count)
  found = array(values, name)
  if found.shape != (count,):
    raise ValueError(f'{name}: shape {found.shape} for {count} points')
  if not np.isfinite(found).all() or (found < 0.0).any():
    raise ValueError(f'{name}: must be finite and at least 0')
  if abs(found.sum() - 1.0) > 1e-6:
    raise ValueError(f'{name}: sum to {found.sum():.9g}, not to 1')
  return found


def weighted(x: np.ndarray, values: Any, name: str) -> tuple[Any, Any]:
  """Returns the points of positive weight and their weights."""
  found = weights(values, len(x), name)
  kept = found > 0.0
  return x[kept], found[kept]

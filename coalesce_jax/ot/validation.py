"""Checks that every optimal-transport reference makes of its arguments.

Shapes: N points, D dimensions, K laws.
"""

from typing import Any

import numpy as np


def array(values: Any, name: str) -> np.ndarray:
  """Numbers in float64.

  Raises:
    ValueError: not numbers, or rows of several lengths; names `name`.
  """
  try:
    return np.asarray(values, np.float64)
  except (TypeError, ValueError) as error:
    raise ValueError(f'{name}: not an array of numbers ({error})') from error


def cloud(x: Any, name: str = 'x') -> np.ndarray:
  """Points `[N >= 1, D >= 1]` in float64.

  Raises:
    ValueError: another shape, or values that are not finite; names `name`.
  """
  points = array(x, name)
  if points.ndim != 2 or 0 in points.shape:
    raise ValueError(f'{name}: shape {points.shape} is not [N >= 1, D >= 1]')
  if not np.isfinite(points).all():
    raise ValueError(f'{name}: values are not all finite')
  return points


def line(x: Any, name: str = 'x') -> np.ndarray:
  """Points on the line, `[N]` or `[N, 1]`, as `[N]` in float64."""
  points = array(x, name)
  if points.ndim == 1:
    points = points[:, None]
  points = cloud(points, name)
  if points.shape[1] != 1:
    raise ValueError(f'{name}: {points.shape[1]} dimensions, not 1')
  return points[:, 0]


def pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
  """Two clouds of one dimension."""
  x, y = cloud(x, 'x'), cloud(y, 'y')
  if x.shape[1] != y.shape[1]:
    raise ValueError(f'y: {y.shape[1]} dimensions, x has {x.shape[1]}')
  return x, y


def weights(values: Any, count: int, name: str = 'weights') -> np.ndarray:
  """Probabilities `[count]` that sum to 1 exactly; equal ones for None.

  Raises:
    ValueError: another length, negative, not finite, or a sum other than 1
      (to 1e-6); names `name`.
  """
  if values is None:
    return np.full(count, 1.0 / count)
  found = array(values, name)
  if found.shape != (count,):
    raise ValueError(f'{name}: shape {found.shape} for {count} points')
  if not np.isfinite(found).all() or (found < 0.0).any():
    raise ValueError(f'{name}: must be finite and at least 0')
  if abs(found.sum() - 1.0) > 1e-6:
    raise ValueError(f'{name}: sum to {found.sum():.6g}, not to 1')
  return found / found.sum()


def weighted(x: np.ndarray, values: Any, name: str) -> tuple[Any, Any]:
  """Points of positive weight and their weights."""
  found = weights(values, len(x), name)
  kept = found > 0.0
  return x[kept], found[kept]

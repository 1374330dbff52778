"""Checks that every optimal-transport reference makes of its arguments.

Shapes: N points, D dimensions, K laws.
"""

from typing import Any

import numpy as np


def cloud(x: Any, name: str = 'x') -> np.ndarray:
  """Points `[N >= 1, D >= 1]` in float64.

  Raises:
    ValueError: another shape, or values that are not finite; names `name`.
  """
  array = np.asarray(x, np.float64)
  if array.ndim != 2 or 0 in array.shape:
    raise ValueError(f'{name}: shape {array.shape} is not [N >= 1, D >= 1]')
  if not np.isfinite(array).all():
    raise ValueError(f'{name}: values are not all finite')
  return array


def line(x: Any, name: str = 'x') -> np.ndarray:
  """Points on the line, `[N]` or `[N, 1]`, as `[N]` in float64."""
  array = np.asarray(x, np.float64)
  if array.ndim == 1:
    array = array[:, None]
  array = cloud(array, name)
  if array.shape[1] != 1:
    raise ValueError(f'{name}: {array.shape[1]} dimensions, not 1')
  return array[:, 0]


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
  array = np.asarray(values, np.float64)
  if array.shape != (count,):
    raise ValueError(f'{name}: shape {array.shape} for {count} points')
  if not np.isfinite(array).all() or (array < 0.0).any():
    raise ValueError(f'{name}: must be finite and at least 0')
  if abs(array.sum() - 1.0) > 1e-6:
    raise ValueError(f'{name}: sum to {array.sum():.6g}, not to 1')
  return array / array.sum()


def weighted(x: np.ndarray, values: Any, name: str) -> tuple[Any, Any]:
  """Points of positive weight and their weights."""
  array = weights(values, len(x), name)
  kept = array > 0.0
  return x[kept], array[kept]

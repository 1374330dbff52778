"""Computes precision, recall, density and coverage (PRDC) of generated samples.

The ball of a sample reaches to its k-th nearest neighbour. Naeem et al.,
"Reliable Fidelity and Diversity Metrics for Generative Models",
https://arxiv.org/abs/2002.09797. Precision and recall: Kynkaanniemi et al.,
https://arxiv.org/abs/1904.06991.

Every comparison is decided by float64 distances from direct differences. A
matrix product with a bound of its error decides the clear cases first.

Shapes: N real, M generated samples, F features.
"""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import distance

from coalesce_jax.core import real_arrays
from coalesce_jax.metrics import features

_BLOCK = 256


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
  """Computes the four scores.

  Args:
    real: features of real samples, `[N, F]`, N > k.
    fake: features of generated samples, `[M, F]`, M > k.
    k: the neighbour that a sample's ball reaches to, without the sample itself.

  Returns:
    Scores by name:

    * `precision`: fraction of generated samples inside the ball of a real one.
    * `recall`: fraction of real samples inside the ball of a generated one.
    * `density`: mean number of balls of real samples around a generated sample,
      divided by k.
    * `coverage`: fraction of real samples whose ball has a generated sample.

  Raises:
    ValueError: there are too few samples, k is no whole number of at least 1,
      or the features are invalid.
  """
  real, fake = features.check(real), features.check(fake)
  if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
    raise ValueError(
      f'k = {k} is not a neighbour: it must be a whole number of at least 1'
    )
  if min(len(real), len(fake)) <= k:
    raise ValueError(
      f'{len(real)} and {len(fake)} samples are too few for k = {k}'
    )
  real, fake, _ = _scaled(real, fake)
  real_radius, fake_radius = _reach(real, real, k), _reach(fake, fake, k)
  balls = np.zeros(len(fake))
  recalled = np.zeros(len(real), bool)
  covered = np.zeros(len(real), bool)
  for rows, upper, slack_real, slack_fake in _blocks(real, fake):
    near = real[rows], fake, upper
    slack = slack_real[:, None] + slack_fake[None]
    hit = _inside(*near, slack, real_radius[rows, None])
    balls += hit.sum(0)
    covered[rows] = hit.any(1)
    recalled[rows] = _inside(*near, slack, fake_radius[None]).any(1)
  return {
    'precision': float((balls > 0).mean()),
    'recall': float(recalled.mean()),
    'density': float(balls.mean() / k),
    'coverage': float(covered.mean()),
  }


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Computes the distance `[N]` of each row of `a` to the nearest of `b`.

  Distances are exact to float64 rounding; a copy is at distance 0.

  Raises:
    ValueError: the numbers of features differ, there are none, or values are
      not finite.
  """
  a, b, exponent = _scaled(a, b)
  return np.ldexp(_reach(a, b, 0), exponent)


def _scaled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
  """Divides features by a power of 2, and returns its exponent."""
  a, b = (real_arrays.convert(x, 'features') for x in (a, b))
  if a.shape[1:] != b.shape[1:]:
    raise ValueError(f'features {a.shape} against {b.shape}')
  for x in (a, b):
    if x.ndim != 2 or not x.size:
      raise ValueError(f'features {x.shape} are not [N >= 1, F >= 1]')
  # The maximum of Python would drop a NaN.
  largest = np.maximum(np.abs(a).max(), np.abs(b).max())
  if not np.isfinite(largest):
    raise ValueError('features are not all finite')
  # Room for the squares of the largest, and for the smallest beside it.
  exponent = int(np.frexp(largest)[1]) - 480
  return np.ldexp(a, -exponent), np.ldexp(b, -exponent), exponent


def _reach(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
  """Computes the distance `[N]` of rows of `a` to their k-th neighbour in `b`.

  The nearest row is number 0. For a row of `b` it is the row itself.
  """
  result = np.empty(len(a))
  for rows, upper, slack_a, slack_b in _blocks(a, b):
    limit = np.partition(upper, k, axis=1)[:, k] + slack_a
    upper -= slack_b[None]
    for i, columns in enumerate(upper <= limit[:, None]):
      # One function computes all exact distances, so that equal pairs tie.
      at = rows.start + i
      gaps = distance.cdist(a[at : at + 1], b[columns])[0]
      result[at] = np.partition(gaps, k)[k]
  return result


def _inside(
  a: np.ndarray,
  b: np.ndarray,
  upper: np.ndarray,
  slack: np.ndarray,
  radius: np.ndarray,
) -> np.ndarray:
  """Returns whether distances `[rows, M]` are below `radius`.

  Args:
    a: `[rows, F]`.
    b: `[M, F]`.
    upper: upper bounds of the squared distances, `[rows, M]`.
    slack: `upper - slack` are lower bounds, `[rows, M]`.
    radius: `[rows, 1]` or `[1, M]`.
  """
  squared = radius * radius
  rounding = 4.0 * np.finfo(np.float64).eps * squared
  inside = upper < squared - rounding
  unsure = upper <= squared + rounding + slack
  unsure ^= inside
  radius = np.broadcast_to(radius, unsure.shape)
  for i in np.flatnonzero(unsure.any(1)):
    columns = unsure[i]
    gaps = distance.cdist(a[i : i + 1], b[columns])[0]
    inside[i, columns] = gaps < radius[i, columns]
  return inside


def _blocks(
  a: np.ndarray, b: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
  """Yields bounds of squared distances for slices of rows of `a`.

  The bounds hold for exact squared distances, and for those that float64
  computes from differences. Centring makes them narrow.

  Yields:
    The slice; upper bounds `[rows, M]`; slacks `[rows]` and `[M]`. A lower
    bound is an upper one minus both slacks.
  """
  centre = b.mean(0)
  x, y = a - centre[None], b - centre[None]
  # Products of F terms, their sums and the centring each round a few times F.
  relative = 4.0 * (x.shape[1] + 16) * np.finfo(np.float64).eps
  x_squared, y_squared = (x * x).sum(1), (y * y).sum(1)
  x, y = -2.0 * x, np.ascontiguousarray(y.T)
  for i in range(0, len(a), _BLOCK):
    rows = slice(i, min(i + _BLOCK, len(a)))
    upper = x[rows] @ y
    upper += (1.0 + relative) * x_squared[rows, None]
    upper += (1.0 + relative) * y_squared[None]
    yield (
      rows,
      upper,
      2.0 * relative * x_squared[rows],
      2.0 * relative * y_squared,
    )

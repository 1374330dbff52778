"""Computes precision, recall, density and coverage (PRDC) of generated samples.

The ball of a sample reaches to its k-th nearest neighbour. Naeem et al.,
"Reliable Fidelity and Diversity Metrics for Generative Models",
https://arxiv.org/abs/2002.09797. Precision and recall: Kynkaanniemi et al.,
https://arxiv.org/abs/1904.06991.

Shapes: N real, M generated samples, F features.
"""

from collections.abc import Iterator

import numpy as np

from coalesce_jax.metrics import features

_BLOCK = 1000


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
  """Computes the four scores.

  Args:
    real: features of real samples, `[N, F]`, N > k.
    fake: features of generated samples, `[M, F]`, M > k.
    k: the neighbour that a sample's ball reaches to, without the sample itself.

  Returns:
    `precision`: fraction of generated samples inside the ball of a real one.
    `recall`: fraction of real samples inside the ball of a generated one.
    `density`: mean number of balls of real samples around a generated sample,
      divided by k.
    `coverage`: fraction of real samples whose ball has a generated sample.

  Raises:
    ValueError: there are too few samples.
  """
  real, fake = features.check(real), features.check(fake)
  if min(len(real), len(fake)) <= k:
    raise ValueError(
      f'{len(real)} and {len(fake)} samples are too few for k = {k}'
    )
  real_radius = radii(real, k)
  fake_radius = radii(fake, k)
  inside = np.zeros(len(fake))
  recalled = np.zeros(len(real), bool)
  covered = np.zeros(len(real), bool)
  for rows, squared in blocks(real, fake):
    hit = squared < real_radius[rows, None]
    inside += hit.sum(0)
    covered[rows] = hit.any(1)
    recalled[rows] = (squared < fake_radius[None]).any(1)
  return {
    'precision': float((inside > 0).mean()),
    'recall': float(recalled.mean()),
    'density': float(inside.mean() / k),
    'coverage': float(covered.mean()),
  }


def radii(features: np.ndarray, k: int) -> np.ndarray:
  """Computes the squared distance `[N]` of samples to their k-th neighbour."""
  result = np.empty(len(features))
  for rows, squared in blocks(features, features):
    # A sample is at distance 0 from itself, which rounding may miss.
    squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = 0.0
    result[rows] = np.partition(squared, k, axis=1)[:, k]
  return result


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Computes the distance `[N]` of each row of `a` to the nearest of `b`."""
  result = np.empty(len(a))
  for rows, squared in blocks(a, b):
    result[rows] = np.sqrt(squared.min(1))
  return result


def blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields squared distances `[rows, M]` for slices of the rows of `a`."""
  # Products in float32 halve the time. Centring reduces their rounding errors.
  centre = b.mean(0)
  a, b = (np.asarray(x - centre[None], np.float32) for x in (a, b))
  b_squared = (b * b).sum(1)
  for i in range(0, len(a), _BLOCK):
    x = a[i : i + _BLOCK]
    squared = x @ b.T
    squared *= -2.0
    squared += (x * x).sum(1)[:, None]
    squared += b_squared[None]
    np.maximum(squared, 0.0, out=squared)
    yield slice(i, i + len(x)), squared

"""Precision, recall, density and coverage by k-nearest-neighbour balls.

Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models",
https://arxiv.org/abs/2002.09797; precision and recall: Kynkaanniemi et al.,
https://arxiv.org/abs/1904.06991.

Shapes: N real, M fake samples; F features.
"""

from collections.abc import Iterator

import numpy as np

from coalesce_jax.metrics import features

_BLOCK = 1000


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
  """The four measures.

  Args:
    real: `[N, F]`, N > k.
    fake: `[M, F]`, M > k.
    k: neighbours that define a sample's ball, the sample itself left out.

  Returns:
    `precision`: fraction of fakes inside a real ball; `recall`: of reals
    inside a fake ball; `density`: mean number of real balls around a fake,
    over k; `coverage`: fraction of real balls with a fake inside.

  Raises:
    ValueError: too few samples.
  """
  real, fake = features.check(real), features.check(fake)
  if min(len(real), len(fake)) <= k:
    raise ValueError(f'{len(real)}, {len(fake)} samples for k = {k}')
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
  """Squared distance of each sample to its k-th nearest other one, `[N]`."""
  result = np.empty(len(features))
  for rows, squared in blocks(features, features):
    # Itself is at distance 0, up to rounding.
    squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = 0.0
    result[rows] = np.partition(squared, k, axis=1)[:, k]
  return result


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Distance of each row of `a` to its nearest row of `b`, `[N]`."""
  result = np.empty(len(a))
  for rows, squared in blocks(a, b):
    result[rows] = np.sqrt(squared.min(1))
  return result


def blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
  """Squared distances `[rows, M]`, some rows of `a` at a time."""
  # float32 products halve the time; the clouds are centred against rounding.
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

r"""Summarises how well tasks are learned and kept.

Of scores :math:`R_{ij}` on task j after task i, where lower is better:

.. math::
  \text{forgetting}_j &= R_{Tj} - \min_{j \le i} R_{ij} \\
  \text{backward}_j &= R_{jj} - R_{Tj} \\
  \text{forward}_j &= B_j - R_{jj}

with B the score of a network that learned task j alone. Forgetting is that of
Chaudhry et al., https://arxiv.org/abs/1801.10112, transfer that of Lopez-Paz
and Ranzato, https://arxiv.org/abs/1706.08840, for scores of which lower is
better. Forward transfer is taken after learning the task, because a generator
of a task that it has not met says little.

Shapes: T tasks, S seeds.
"""

from typing import Any

import numpy as np


def summary(
  matrix: np.ndarray, alone: np.ndarray | None = None
) -> dict[str, np.ndarray]:
  """Returns a summary of each task, `[T]` or `[T, S]`, by name.

  Args:
    matrix: scores, `[T, T]` or `[T, T, S]`: row i after task i, column j of
      task j. NaN above the diagonal is allowed.
    alone: scores of networks that learned each task alone, `[T]` or `[T, S]`.

  Returns:
    `learned`, the score just after each task; `final`, after the last one;
    `forgetting` (at least 0) and `backward`; and `forward` if `alone` is given.

  Raises:
    ValueError: the matrix is not square, or scores on learned tasks are
      missing.
  """
  matrix = np.asarray(matrix, np.float64)
  if matrix.ndim < 2 or matrix.shape[0] != matrix.shape[1]:
    raise ValueError(f'scores {matrix.shape} are not [T, T] or [T, T, S]')
  count = len(matrix)
  if any(
    np.isnan(matrix[i, j]).any() for i in range(count) for j in range(i + 1)
  ):
    raise ValueError('a score on a learned task is missing')
  final = matrix[-1]
  learned = np.stack([matrix[j, j] for j in range(count)])
  best = np.stack([matrix[j:, j].min(0) for j in range(count)])
  found: dict[str, Any] = {
    'learned': learned,
    'final': final,
    'forgetting': final - best,
    'backward': learned - final,
  }
  if alone is not None:
    found['forward'] = np.asarray(alone, np.float64) - learned
  return found

"""Kernel distance between feature clouds.

Binkowski et al., https://arxiv.org/abs/1801.01401.

Shapes: N, M samples; F features.
"""

import numpy as np

from coalesce_jax.metrics import features


def kid(a: np.ndarray, b: np.ndarray) -> float:
  """Unbiased squared maximum mean discrepancy, the KID.

  Polynomial kernel `(x.y / F + 1)^3`; around 0 for equal laws, can be
  negative.

  Args:
    a: `[N, F]`.
    b: `[M, F]`.
  """
  a, b = features.check(a), features.check(b)

  def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1.0) ** 3

  def own(x):
    k, n = kernel(x, x), len(x)
    return (k.sum() - np.trace(k)) / (n * (n - 1))

  return float(own(a) + own(b) - 2.0 * kernel(a, b).mean())

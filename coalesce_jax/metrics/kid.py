r"""Computes the kernel Inception distance (KID) between feature sets.

It is a squared maximum mean discrepancy with a polynomial kernel:

.. math:: d^2 = E k(a, a') + E k(b, b') - 2 E k(a, b), \quad
  k(x, y) = (x^T y / F + 1)^3

Binkowski et al., https://arxiv.org/abs/1801.01401.

Shapes: N, M samples, F features.
"""

import numpy as np

from coalesce_jax.metrics import features


def kid(a: np.ndarray, b: np.ndarray) -> float:
  """Computes an unbiased estimate of KID.

  Args:
    a: features, `[N, F]`.
    b: features, `[M, F]`.

  Returns:
    The squared discrepancy. It is near 0 for equal distributions and can be
    negative.

  Raises:
    ValueError: the features are invalid.
  """
  a, b = features.check(a), features.check(b)

  def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1.0) ** 3

  def own(x):
    k, n = kernel(x, x), len(x)
    return (k.sum() - np.trace(k)) / (n * (n - 1))

  return float(own(a) + own(b) - 2.0 * kernel(a, b).mean())

r"""Computes the kernel Inception distance (KID) between feature sets.

It is a squared maximum mean discrepancy with a polynomial kernel:

.. math:: d^2 = E k(a, a') + E k(b, b') - 2 E k(a, b), \quad
  k(x, y) = (x^T y / F + 1)^3

Binkowski et al., https://arxiv.org/abs/1801.01401. For any c the kernel
``k(x, y) - k(x, c) - k(c, y) + k(c, c)`` has the same discrepancy. With c the
mean of all features, far features lose no digits.

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
    ValueError: the features are invalid, or so large that KID overflows.
  """
  a, b = features.check(a), features.check(b)
  if a.shape[1] != b.shape[1]:
    raise ValueError(f'features {a.shape} against {b.shape}')
  size = a.shape[1]
  with np.errstate(over='ignore', invalid='ignore'):
    centre = np.concatenate([a, b]).mean(0)
    base = centre @ centre / size + 1.0
    a, b = a - centre[None], b - centre[None]

  def kernel(x, y):
    # The cubes of base, base + p, base + q and base + p + q + r, expanded:
    # their large terms cancel on paper instead of in float64.
    p, q, r = x @ centre / size, y @ centre / size, x @ y.T / size
    product, total = p[:, None] * q[None], p[:, None] + q[None]
    linear = 3.0 * (base * base + 2.0 * base * total + total * total)
    power = 3.0 * (base + total) + r
    return 3.0 * product * (2.0 * base + total) + r * (linear + r * power)

  def own(x):
    k, n = kernel(x, x), len(x)
    np.fill_diagonal(k, 0.0)
    return k.sum() / (n * (n - 1))

  with np.errstate(over='ignore', invalid='ignore'):
    value = float(own(a) + own(b) - 2.0 * kernel(a, b).mean())
  if not np.isfinite(value):
    raise ValueError('features are too large for cubes of their products')
  return value

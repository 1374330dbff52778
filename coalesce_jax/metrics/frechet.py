r"""Computes the squared Frechet distance between feature sets.

.. math:: d^2 = |m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

Heusel et al., https://arxiv.org/abs/1706.08500. The distance is computed in
float64 from factors of the covariances.

Shapes: N samples, F features.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from coalesce_jax.metrics import features as features_lib
from coalesce_jax.ot import gaussians

# Sums of squares of larger features may exceed float64.
LARGEST = 1e145
# Largest deviation of Q^T Q from 1 after the first of two decompositions.
_SKEW = 0.1


class Moments(NamedTuple):
  """The moments of a feature set.

  Attributes:
    mean: `[F]`.
    covariance: `[F, F]`.
    samples: N.
    factor: A with ``covariance = A^T A``, `[min(N, F), F]`. It keeps the digits
      of small variances beside large ones. None is unknown.
  """

  mean: np.ndarray
  covariance: np.ndarray
  samples: int
  factor: np.ndarray | None = None


def moments(features: np.ndarray) -> Moments:
  """Computes mean and unbiased covariance of features `[N, F]`.

  Raises:
    ValueError: there are fewer than 2 samples, or values are not finite or too
      large for their squares.
  """
  features = features_lib.check(features)
  if np.abs(features).max() > LARGEST:
    raise ValueError(
      f'features up to {np.abs(features).max():.3g} are too large for squares'
    )
  mean = features.mean(0)
  # Far from the origin the first mean is rounded.
  mean += (features - mean[None]).mean(0)
  centred = features - mean[None]
  covariance = centred.T @ centred / (len(features) - 1)
  factor = _triangle(centred) / np.sqrt(len(features) - 1)
  return Moments(mean, covariance, len(features), factor)


def _triangle(x: np.ndarray) -> np.ndarray:
  """Computes R of ``x = Q R``, `[min(N, F), F]`.

  Two Cholesky decompositions take a fraction of the time of a QR decomposition,
  with equal digits if the first leaves Q nearly orthogonal. Yamamoto et al.,
  https://etna.math.kent.edu/vol.44.2015/pp306-326.dir/pp306-326.pdf.
  """
  size = np.sqrt((x * x).sum(0))
  if len(x) > len(size) and size.all():
    try:
      unit = x / size[None]
      first = linalg.cholesky(unit.T @ unit)
      q = linalg.solve_triangular(first, unit.T, trans='T').T
      product = q.T @ q
      if np.abs(product - np.eye(len(size))).sum(0).max() < _SKEW:
        return linalg.cholesky(product) @ first * size[None]
    except linalg.LinAlgError:
      pass  # Of numerically dependent features.
  return np.asarray(np.linalg.qr(x, mode='r'))


def frechet_squared(a: Moments, b: Moments) -> float:
  """Computes the squared Frechet distance between two Gaussians.

  Args:
    a: moments of one feature set.
    b: moments of the other.

  Returns:
    The distance in squared feature units. For moments of samples it is too
    large, by about a constant divided by N. Compare only values of equal N.

  Raises:
    ValueError: the numbers of features differ, or moments without factors have
      variances of too different sizes.
  """
  if a.mean.shape != b.mean.shape:
    raise ValueError(f'{a.mean.size} features against {b.mean.size}')
  if a.factor is not None and b.factor is not None:
    means = float(((a.mean - b.mean) ** 2).sum())
    return means + gaussians.procrustes_squared(a.factor, b.factor)
  return gaussians.frechet_squared(a.mean, a.covariance, b.mean, b.covariance)

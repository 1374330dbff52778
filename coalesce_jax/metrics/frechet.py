r"""Frechet distance and kernel distance between feature clouds.

.. math:: d^2 = |m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

Heusel et al., https://arxiv.org/abs/1706.08500; kernel distance: Binkowski et
al., https://arxiv.org/abs/1801.01401. In float64 by symmetric eigenvalues.

Shapes: N, M samples; F features.
"""

from typing import NamedTuple

import numpy as np

from coalesce_jax.ot import gaussians


class Moments(NamedTuple):
  """Mean `[F]`, covariance `[F, F]` and number of samples."""

  mean: np.ndarray
  covariance: np.ndarray
  samples: int


def moments(features: np.ndarray) -> Moments:
  """Moments of a cloud `[N, F]`, with the unbiased covariance.

  Raises:
    ValueError: fewer than 2 samples, or values that are not finite.
  """
  features = check(features)
  mean = features.mean(0)
  centred = features - mean[None]
  covariance = centred.T @ centred / (len(features) - 1)
  return Moments(mean, covariance, len(features))


def frechet_squared(a: Moments, b: Moments) -> float:
  """Squared Frechet distance of two Gaussians, in squared feature units.

  With moments of samples it is biased upwards, by about a constant over N;
  compare only values of equal N.
  """
  if a.mean.shape != b.mean.shape:
    raise ValueError(f'{a.mean.size} features against {b.mean.size}')
  return gaussians.frechet_squared(a.mean, a.covariance, b.mean, b.covariance)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
  """Unbiased squared maximum mean discrepancy, the KID.

  Polynomial kernel `(x.y / F + 1)^3`; around 0 for equal laws, can be
  negative.

  Args:
    a: `[N, F]`.
    b: `[M, F]`.
  """
  a, b = check(a), check(b)

  def kernel(x, y):
    return (x @ y.T / x.shape[1] + 1.0) ** 3

  def own(x):
    k, n = kernel(x, x), len(x)
    return (k.sum() - np.trace(k)) / (n * (n - 1))

  return float(own(a) + own(b) - 2.0 * kernel(a, b).mean())


def check(features: np.ndarray) -> np.ndarray:
  """The cloud in float64.

  Raises:
    ValueError: not `[N >= 2, F]`, or not finite.
  """
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or len(features) < 2:
    raise ValueError(f'features {features.shape} are not [N >= 2, F]')
  if not np.all(np.isfinite(features)):
    raise ValueError('features are not all finite')
  return features

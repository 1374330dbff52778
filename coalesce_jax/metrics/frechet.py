r"""Frechet distance between feature clouds.

.. math:: d^2 = |m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

Heusel et al., https://arxiv.org/abs/1706.08500. In float64 by symmetric
eigenvalues.

Shapes: N, M samples; F features.
"""

from typing import NamedTuple

import numpy as np

from coalesce_jax.metrics import features as features_lib
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
  features = features_lib.check(features)
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

r"""Computes the squared Frechet distance between feature sets.

.. math:: d^2 = |m_1 - m_2|^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})

Heusel et al., https://arxiv.org/abs/1706.08500. The distance is computed in
float64 from symmetric eigenvalues.

Shapes: N samples, F features.
"""

from typing import NamedTuple

import numpy as np

from coalesce_jax.metrics import features as features_lib
from coalesce_jax.ot import gaussians


class Moments(NamedTuple):
  """The moments of a feature set.

  Attributes:
    mean: `[F]`.
    covariance: `[F, F]`.
    samples: N.
  """

  mean: np.ndarray
  covariance: np.ndarray
  samples: int


def moments(features: np.ndarray) -> Moments:
  """Computes mean and unbiased covariance of features `[N, F]`.

  Raises:
    ValueError: there are fewer than 2 samples, or values are not finite.
  """
  features = features_lib.check(features)
  mean = features.mean(0)
  centred = features - mean[None]
  covariance = centred.T @ centred / (len(features) - 1)
  return Moments(mean, covariance, len(features))


def frechet_squared(a: Moments, b: Moments) -> float:
  """Computes the squared Frechet distance between two Gaussians.

  Args:
    a: moments of one feature set.
    b: moments of the other.

  Returns:
    The distance in squared feature units. For moments of samples it is too
    large, by about a constant divided by N. Compare only values of equal N.

  Raises:
    ValueError: the numbers of features differ.
  """
  if a.mean.shape != b.mean.shape:
    raise ValueError(f'{a.mean.size} features against {b.mean.size}')
  return gaussians.frechet_squared(a.mean, a.covariance, b.mean, b.covariance)

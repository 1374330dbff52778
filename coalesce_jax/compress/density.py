r"""Compares the local density of a network's samples before and after pruning.

A neighbourhood is a sample of the original network and its nearest neighbours
in a large pool of such samples. The pruned network maps the inputs of these
neighbours to its own samples. With the features f of a critic, see
`critics.described`,

.. math::
  d = E_i \, \frac1P \sum_p \Bigl( \frac1k \sum_{j \in N_i}
      \frac{f_p(G_0(z_j)) - f_p(G(z_j))}{s} \Bigr)^2

is 0 if the P features of every neighbourhood have the same means. The mean over
k neighbours estimates the density around them, with a kernel that the critic
chooses. s is the standard deviation of features over the pool, so that d has no
unit.

Reimplemented from the abstract of Ganjdanesh et al., "Compressing
image-to-image translation GANs using local density structures on their learned
manifold", https://arxiv.org/abs/2312.14776.

Shapes: N pool, F features of samples, P features of the critic, k neighbours, B
neighbourhoods.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from coalesce_jax.core import types
from coalesce_jax.metrics import features as features_lib

_ROWS = 512


def neighbours(features: np.ndarray, k: int) -> np.ndarray:
  """Returns the rows `[N, k]` nearest to each row by cosine, itself first.

  Args:
    features: `[N, F]`.
    k: from 1 to N.

  Raises:
    ValueError: k is out of range, or features are not finite.
  """
  x = features_lib.check(features)
  if not 1 <= k <= len(x):
    raise ValueError(f'{k} neighbours of {len(x)} samples')
  lengths = np.linalg.norm(x, axis=1, keepdims=True)
  x = x / np.where(lengths > 0.0, lengths, 1.0)
  found = np.empty((len(x), k), np.int32)
  for first in range(0, len(x), _ROWS):
    near = x[first : first + _ROWS] @ x.T
    rows = np.arange(len(near))
    # A copy of a sample is as near as the sample itself.
    near[rows, first + rows] = np.inf
    found[first : first + _ROWS] = np.argsort(-near, 1, 'stable')[:, :k]
  return found


def drawn(key: types.PRNGKey, near: jax.Array, count: int) -> jax.Array:
  """Draws neighbourhoods: rows `[B, k]` of the pool.

  Args:
    key: consumed.
    near: rows of the neighbours of each sample, `[N, k]`.
    count: B.
  """
  rows: jax.Array = near[jax.random.randint(key, (count,), 0, len(near))]
  return rows


def distance(
  real: jax.Array, fake: jax.Array, scale: jax.Array, local: bool = True
) -> jax.Array:
  """Returns d, see above.

  Args:
    real: features of the original's samples, `[B, k, ...]`.
    fake: features of the pruned network's, of the same inputs.
    scale: s.
    local: False compares the means of all samples together.
  """
  gaps = (real - fake).reshape(*real.shape[:2], -1) / scale
  means = jnp.mean(gaps, 1 if local else (0, 1))
  return jnp.mean(means**2)


def radii(features: np.ndarray, k: int = 5) -> np.ndarray:
  """Returns the distance `[N]` of each sample to its k-th neighbour.

  It is an estimate of the density: N r^F is constant where that is.

  Args:
    features: `[N, F]`.
    k: from 1 to N - 1.

  Raises:
    ValueError: k is out of range, or features are not finite.
  """
  x = features_lib.check(features)
  if not 1 <= k < len(x):
    raise ValueError(f'neighbour {k} of {len(x)} samples')
  squares = np.sum(x**2, 1)
  found = np.empty(len(x))
  for first in range(0, len(x), _ROWS):
    rows = slice(first, first + _ROWS)
    far = squares[rows, None] + squares[None] - 2.0 * x[rows] @ x.T
    index = np.arange(len(far))
    far[index, first + index] = -np.inf
    found[rows] = np.partition(far, k, 1)[:, k]
  return np.sqrt(np.maximum(found, 0.0))


def agreement(before: np.ndarray, after: np.ndarray, k: int = 5) -> float:
  """Returns how well the local density is kept: 1 for the same order.

  It is Spearman's correlation of the radii of matched samples.

  Args:
    before: features `[N, F]` of samples of the original network.
    after: features of the other network's samples, made from the same inputs.
    k: see `radii`.

  Raises:
    ValueError: as of `radii`; the numbers of samples differ.
  """
  if len(before) != len(after):
    raise ValueError(f'{len(before)} samples against {len(after)}')
  radius = radii(before, k), radii(after, k)
  if any(np.ptp(r) == 0.0 for r in radius):
    return 0.0
  return float(stats.spearmanr(*radius).statistic)

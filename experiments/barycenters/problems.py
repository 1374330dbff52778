r"""Inputs whose W2 barycenter and maps are known.

Gaussians have linear maps. The inputs of `bent` are images of one distribution
:math:`\nu` under the gradients of convex potentials,

.. math:: \psi_j(x) = \tfrac12 x^T (1 + S_j) x
  + \sum_h s_{jh} \int_0^{u_h^T x} \sqrt{\delta^2 + t^2} \, dt, \quad
  \sum_j w_j S_j = 0, \quad \sum_j w_j s_j = 0

The weighted sum of the potentials is :math:`|x|^2 / 2`, so that
:math:`\nu` is the barycenter and the gradients are the optimal maps. Here
:math:`\nu` has four clusters, and the directions u are orthonormal. No linear
map is near the optimal ones.

Shapes: J inputs, N samples of each, D dimensions.
"""

from collections.abc import Callable
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.ot import gaussians

KINDS = ('gaussians', 'bent')
# Rounds the corner of the slopes.
_CORNER = 0.3
# Largest absolute amplitude: slopes of the maps change by this to both sides.
_AMPLITUDE = 0.6
# Range of the variances of Gaussians that no file gives.
_VARIANCES = 0.25, 4.0
_FILE = 'sampler_stats_{}.json'
INPUTS = 3


class Problem(NamedTuple):
  """Inputs and their barycenter.

  Attributes:
    weights: `[J]`.
    pairs: ``(rng, n) -> (samples of the inputs, their points of the
      barycenter)``, `[J, n, D]` each; samples of different inputs are
      independent.
    mean: of the barycenter, `[D]`.
    covariance: of the barycenter, `[D, D]`.
    maps: ``points [J, n, D] -> their points of the barycenter``, or None.
  """

  weights: np.ndarray
  pairs: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
  mean: np.ndarray
  covariance: np.ndarray
  maps: Callable[[np.ndarray], np.ndarray] | None = None


def make(
  kind: str, dimension: int, rng: np.random.Generator, folder: str = ''
) -> Problem:
  """Returns a problem.

  Args:
    kind: one of `KINDS`.
    dimension: D.
    rng: random numbers.
    folder: of the published Gaussians, `sampler_stats_D.json`; without it they
      are drawn.
  """
  if kind == 'bent':
    return bent(dimension, rng)
  if folder:
    return published(pathlib.Path(folder) / _FILE.format(dimension))
  roots = []
  for _ in range(INPUTS):
    turn = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    roots.append(turn * np.geomspace(*_VARIANCES, dimension)[None] ** 0.5)
  covariances = np.stack([root @ root.T for root in roots])
  return of_gaussians(np.zeros((INPUTS, dimension)), covariances)


def published(path: pathlib.Path) -> Problem:
  """Returns the published Gaussians of a file, with equal weights.

  The barycenter is computed from them, and must agree with that of the file.

  Raises:
    ValueError: the file is missing, or holds something else.
  """
  try:
    found = json.loads(path.read_text())
    each = [found[f'sampler_{j}'] for j in range(INPUTS)]
    means, covariances = (
      np.array([one[name] for one in each]) for name in ('mean', 'cov')
    )
    truth = np.array(found['ground_truth_sampler']['cov'])
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path}: no published Gaussians: {error}') from error
  problem = of_gaussians(means, covariances)
  gap = gaussians.bures_squared(problem.covariance, truth) / np.trace(truth)
  if gap > 1e-4:
    raise ValueError(f'{path}: its barycenter is off by {gap:.2g}')
  return problem


def of_gaussians(means: np.ndarray, covariances: np.ndarray) -> Problem:
  """Returns the problem of Gaussians with equal weights."""
  weights = np.full(len(means), 1.0 / len(means))
  truth = gaussians.gaussian_barycenter(means, covariances, weights)
  maps, factors = [], []
  for covariance in covariances:
    root = gaussians.matrix_root(covariance)
    back = np.linalg.inv(root)
    middle = gaussians.matrix_root(root @ truth.covariance @ root)
    maps.append(back @ middle @ back)
    factors.append(root)

  def moved(points):
    apart = points - means[:, None]
    return np.einsum('jnd,jde->jne', apart, np.stack(maps)) + truth.mean

  def pairs(rng, n):
    apart = np.stack([rng.normal(size=(n, len(f))) @ f for f in factors])
    points = apart + means[:, None]
    return points, moved(points)

  return Problem(weights, pairs, truth.mean, truth.covariance, moved)


def bent(dimension: int, rng: np.random.Generator) -> Problem:
  """Returns the problem of bent maps, with unequal weights."""
  weights = np.array([0.5, 0.3, 0.2])
  turn = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
  linear = rng.normal(size=(INPUTS, dimension, dimension))
  linear = 0.075 * (linear + linear.swapaxes(1, 2)) / np.sqrt(dimension)
  linear -= np.einsum('j,jde->de', weights, linear)
  amplitudes = rng.uniform(-1.0, 1.0, (INPUTS, dimension))
  amplitudes -= weights @ amplitudes
  amplitudes *= _AMPLITUDE / np.abs(amplitudes).max()
  centres, width = rng.normal(size=(4, dimension)), 0.6

  def base(rng, n):
    noise = width * rng.normal(size=(n, dimension))
    return centres[rng.integers(len(centres), size=n)] + noise

  def push(x, j):
    slopes = np.sqrt(_CORNER**2 + (x @ turn) ** 2) * amplitudes[j]
    return x + x @ linear[j] + slopes @ turn.T

  def pairs(rng, n):
    x = np.stack([base(rng, n) for _ in range(INPUTS)])
    return np.stack([push(rows, j) for j, rows in enumerate(x)]), x

  mean = centres.mean(0)
  between = (centres - mean).T @ (centres - mean) / len(centres)
  return Problem(weights, pairs, mean, between + width**2 * np.eye(dimension))


def unexplained(
  points: np.ndarray, truth: np.ndarray, problem: Problem
) -> float:
  """Returns L2-UVP in percent: the mean over inputs of the maps' errors.

  Args:
    points: where samples of the inputs are mapped to, `[J, N, D]`.
    truth: where the optimal maps bring them, likewise.
    problem: the problem.
  """
  each = ((points - truth) ** 2).sum(2).mean(1)
  return 100.0 * float(each.mean() / np.trace(problem.covariance))


def of_moments(points: np.ndarray, problem: Problem) -> float:
  """Returns BW2-UVP in percent, of the moments of points `[N, D]`."""
  gap = gaussians.frechet_squared(
    points.mean(0), np.cov(points.T, bias=True),
    problem.mean, problem.covariance,
  )  # fmt: skip
  return 100.0 * gap / float(np.trace(problem.covariance))


def shapes(rng: np.random.Generator, n: int) -> np.ndarray:
  """Returns moons, circles and a Swiss roll in the plane, `[3, n, 2]`.

  Each is centred by its one mean, divided by its one deviation and multiplied
  by 7. There is no noise.
  """
  # Takes a second.
  from sklearn import datasets

  seed = int(rng.integers(1 << 31))
  options: dict[str, Any] = {'n_samples': n, 'random_state': seed}
  found = (
    datasets.make_moons(**options)[0],
    datasets.make_circles(factor=0.5, **options)[0],
    datasets.make_swiss_roll(**options)[0][:, [0, 2]],
  )
  return np.stack([7.0 * (x - x.mean()) / x.std() for x in found])

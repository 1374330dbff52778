r"""Computes W2 barycenters of sample sets of equal size by exact matchings.

.. math:: \min_{x_1, ..., x_N} \sum_j w_j W_2^2(\mu_j, \nu), \quad
  \nu = \frac1N \sum_n \delta_{x_n}

Each iteration matches the points with every sample set, and moves each point to
the mean of its matches. This is the fixed point of Alvarez-Esteban et al.,
https://arxiv.org/abs/1511.05355, with the maps of empirical distributions. No
shape of the inputs is assumed. In many dimensions matchings of samples are far
from the maps of their distributions.

Shapes: J inputs, N samples of each, D dimensions. Distances are in data units,
the value is in squared ones.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize
from scipy import spatial
from scipy.spatial import distance

from coalesce_jax.ot import exact
from coalesce_jax.ot import validation


class Matched(NamedTuple):
  """A barycenter of sample sets.

  Attributes:
    points: `[N, D]`.
    matches: the matched sample of each input, `[J, N]`. With the points they
      are the optimal maps between the inputs and the barycenter.
    value: weighted sum of the squared W2 to the inputs.
    iterations: number of iterations done.
    converged: whether the last one changed no matching. The points are then a
      local minimum.
  """

  points: np.ndarray
  matches: np.ndarray
  value: float
  iterations: int
  converged: bool


def fixed_point(
  samples: Any,
  weights: Any = None,
  *,
  start: Any = 0,
  iterations: int = 100,
) -> Matched:
  """Computes a W2 barycenter of sample sets.

  Three sets of 1,000 points in the plane take half a minute. The result is a
  local minimum; `of_many_starts` looks for a better one.

  Args:
    samples: `[J, N, D]`.
    weights: `[J]`, sum to 1; None is equal weights.
    start: the input from which the points start, or the points, `[N, D]`.
    iterations: largest number of iterations.

  Raises:
    ValueError: an argument is invalid, or there are too many samples.
  """
  clouds, w = _checked(samples, weights)
  count, size = clouds.shape[:2]
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  # Distances of points far from 0 would lose digits.
  middle = clouds.reshape(-1, clouds.shape[2]).mean(0)[None]
  clouds = clouds - middle[None]
  if isinstance(start, int | np.integer):
    if not 0 <= start < count:
      raise ValueError(f'start: {start} is not one of {count} inputs')
    points = clouds[start]
  else:
    points = validation.point_cloud(start, 'start') - middle
    if points.shape != clouds.shape[1:]:
      raise ValueError(
        f'start: shape {points.shape}, the inputs have {clouds.shape[1:]}'
      )
  matches = np.full((count, size), -1)
  done = 0
  while done < iterations:
    done += 1
    before = matches
    matches = np.stack([_matched(points, cloud) for cloud in clouds])
    paired = np.stack(
      [cloud[match] for cloud, match in zip(clouds, matches, strict=True)]
    )
    points = np.einsum('j,jnd->nd', w, paired)
    if np.array_equal(before, matches):
      break
  gaps = ((paired - points[None]) ** 2).sum(2).mean(1)
  converged = bool(np.array_equal(before, matches))
  return Matched(points + middle, matches, float(w @ gaps), done, converged)


def of_many_starts(
  seed: int,
  samples: Any,
  weights: Any = None,
  *,
  starts: int = 16,
  few: int = 250,
  finals: int = 3,
  iterations: int = 100,
) -> Matched:
  """Computes a W2 barycenter of sample sets from the best of many starts.

  Few samples of each input are matched from every start, which takes little
  time. Each of the solutions of the least values moves all samples of one
  input, each as its nearest of the few, and these points are the last starts.

  Args:
    seed: of random numbers: which samples are the few, and the starts.
    samples: `[J, N, D]`.
    weights: `[J]`, sum to 1; None is equal weights.
    starts: number of starts, at least J: the inputs, and then means of samples
      that are coupled at random, with random weights of the inputs.
    few: number of samples of each input that are matched from all starts.
    finals: number of last starts, of which the one of the least value is
      returned.
    iterations: largest number of iterations from each start.

  Raises:
    ValueError: an argument is invalid, or there are too many samples.
  """
  clouds, w = _checked(samples, weights)
  count, size = clouds.shape[:2]
  if starts < count:
    raise ValueError(f'starts: {starts} for {count} inputs')
  for name, number in (('few', few), ('finals', finals)):
    if number < 1:
      raise ValueError(f'{name}: {number} is below 1')
  rng = np.random.default_rng(seed)
  chosen = np.stack(
    [c[rng.permutation(size)[: min(few, size)]] for c in clouds]
  )
  each: list[Any] = list(range(count))
  for share in rng.dirichlet(np.ones(count), starts - count):
    mixed = [p * rng.permutation(c) for p, c in zip(share, chosen, strict=True)]
    each.append(np.sum(mixed, 0))
  found = [
    fixed_point(chosen, w, start=start, iterations=iterations) for start in each
  ]
  found.sort(key=lambda one: one.value)
  # The input of the largest weight moves least.
  j = int(np.argmax(w))
  near = spatial.cKDTree(chosen[j]).query(clouds[j])[1]
  last = []
  for one in found[:finals]:
    moves = np.empty_like(chosen[j])
    moves[one.matches[j]] = one.points - chosen[j][one.matches[j]]
    points = clouds[j] + moves[near]
    last.append(fixed_point(clouds, w, start=points, iterations=iterations))
  return min(last, key=lambda one: one.value)


def _checked(samples: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns the samples and weights after checking them."""
  clouds = validation.clouds(samples)
  count, size = clouds.shape[:2]
  if size**2 > exact.MAX_ASSIGNMENT:
    raise ValueError(
      f'samples: {size} x {size} distances are more than '
      f'{exact.MAX_ASSIGNMENT}; use fewer samples'
    )
  return clouds, validation.weights(weights, count)


def _matched(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
  """Returns the sample that each point is matched with, `[N]`."""
  cost = distance.cdist(points, cloud, 'sqeuclidean')
  return optimize.linear_sum_assignment(cost)[1]

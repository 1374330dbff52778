"""Samples the W2 barycenter of generators by particles, without training.

The particles are those of `ot.sampling`. Scores are those of kernel densities
of the generators' samples, in the space of pixels, so that no critic is needed.
The result are samples of the barycenter, not a generator: each is a mean of
images that are coupled, one of each generator.

Shapes: K generators, N particles, T steps, D values of one sample.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import distance

from coalesce_jax.core import types
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.ot import sampling

# Relative speed below which particles count as at rest.
REST = 0.01


class Sampled(NamedTuple):
  """Samples of a barycenter.

  Attributes:
    samples: `[N, *image_shape]`, in the range of the generators' samples.
    bandwidth: standard deviation of the kernel that was used, in units of a
      sample's Euclidean norm.
    spread: mean squared distance of coupled samples to their mean at the end,
      an estimate of the mean squared W2 to the generators.
    speed: root mean square velocity at the end, relative to that of the first
      step.
    converged: whether the speed is below 0.01.
  """

  samples: jax.Array
  bandwidth: float
  spread: float
  speed: float
  converged: bool


def sample(
  key: types.PRNGKey,
  generators: Sequence[generator_lib.Generator],
  weights: Any = None,
  *,
  count: int = 256,
  alpha: float = 10.0,
  bandwidth: float = 0.0,
  steps: int = 1000,
) -> Sampled:
  """Samples the W2 barycenter of generators.

  Args:
    key: consumed.
    generators: K generators whose samples have one shape.
    weights: `[K]`, sum to 1; None is equal weights.
    count: N; as many samples of each generator are drawn.
    alpha: weight of the generators' distributions beside squared distances, see
      `ot.sampling.of_gaussians`.
    bandwidth: standard deviation of the kernel; 0 is the median distance of a
      sample to its nearest other one.
    steps: T.

  Raises:
    ValueError: an argument is invalid, or samples are not finite.
  """
  if count < 2:
    raise ValueError(f'count: {count} is below 2')
  if not (np.isfinite(bandwidth) and bandwidth >= 0.0):
    raise ValueError(f'bandwidth: {bandwidth} is not at least 0')
  checks.same_samples(list(generators))
  key_flow, *keys = jax.random.split(key, len(generators) + 1)
  drawn = [
    checks.usable_samples(one.sample(k, count), f'generator {j}')
    for j, (k, one) in enumerate(zip(keys, generators, strict=True))
  ]
  flat = np.stack([np.asarray(x).reshape(count, -1) for x in drawn])
  if not bandwidth:
    bandwidth = float(np.median([_nearest(x) for x in flat]))
    if not bandwidth > 0.0:
      raise ValueError(
        'bandwidth: most samples of the generators are equal, so that there '
        'is no distance to take it from; give one'
      )
  found = sampling.of_samples(
    key_flow, flat, weights, bandwidth=bandwidth, alpha=alpha, steps=steps
  )
  speed = float(found.speed[-1] / jnp.maximum(found.speed[0], 1e-30))
  made = found.barycenter.reshape(count, *drawn[0].shape[1:])
  return Sampled(made, bandwidth, float(found.spread[-1]), speed, speed < REST)


def _nearest(points: np.ndarray) -> np.ndarray:
  """Returns the distance of each point `[N, D]` to the nearest other, `[N]`."""
  gaps = distance.cdist(points, points)
  np.fill_diagonal(gaps, np.inf)
  return gaps.min(1)

"""Samples the W2 barycenter of generators by particles.

The particles are those of `ot.sampling`, in the space of pixels. Scores are
those of kernel densities of the generators' samples, without training, or those
of critics that learn along with the particles (`methods.learned_particles`).
Kernels say little in many dimensions. The result are samples of the barycenter,
not a generator: each is a mean of images that are coupled, one of each
generator.

Shapes: K generators, N particles, T steps, D values of one sample.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import distance

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.methods import barycenter_sources
from coalesce_jax.methods import learned_particles
from coalesce_jax.methods import settings
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.ot import sampling
from coalesce_jax.training import loop

# Noise that critics see, relative to the standard deviation of a value.
_NOISE = 0.3
# Relative speed below which particles count as at rest, and relative change of
# the spread over a tenth of the steps.
REST, _STEADY = 0.01, 0.02


class Sampled(NamedTuple):
  """Samples of a barycenter.

  Attributes:
    samples: `[N, *image_shape]`, in the range of the generators' samples.
    bandwidth: standard deviation of the kernel or of the noise that was used,
      in units of a value of a sample.
    spread: mean squared distance of coupled samples to their mean at the end,
      an estimate of the mean squared W2 to the generators.
    speed: root mean square velocity at the end, relative to that at the start.
    converged: whether the speed is below 0.01. Critics are noisy and keep
      particles moving; there it is whether the mean spread of the last tenth of
      the steps differs by less than 2 % from that of the tenth before.
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
  scores: str = settings.SCORES[0],
  learning: learned_particles.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> Sampled:
  """Samples the W2 barycenter of generators.

  Args:
    key: consumed.
    generators: K generators whose samples have one shape.
    weights: `[K]`, sum to 1; None is equal weights.
    count: N; as many samples of each generator are drawn.
    alpha: weight of the generators' distributions beside squared distances, see
      `ot.sampling.of_gaussians`.
    bandwidth: standard deviation of the kernel, or of the noise that critics
      see. 0 is that of `kernel_width` or of `noise`.
    steps: T.
    scores: 'kernel' or 'critics'. Critics start as those of the generators if
      all have one of the same kind.
    learning: how critics learn; None is the default.
    hooks: maps the name of a stage to its effects. The stage of critics is
      'particles'; a kernel has none.

  Raises:
    ValueError: an argument is invalid, or samples are not finite.
  """
  if scores not in settings.SCORES:
    raise ValueError(f'scores: {scores!r} is not one of {settings.SCORES}')
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
  if scores == 'critics':
    return _by_critics(
      key_flow, generators, np.stack(drawn),
      checks.check_weights(weights, len(generators)), alpha, bandwidth, steps,
      learning, loop.hooks_for(hooks, 'particles'),
    )  # fmt: skip
  flat = np.stack([np.asarray(x).reshape(count, -1) for x in drawn])
  if not bandwidth:
    bandwidth = kernel_width(flat)
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


def kernel_width(samples: np.ndarray) -> float:
  """Returns the median distance of samples to their nearest other one.

  Args:
    samples: `[K, N, D]`; distances are among the N samples of each input.
  """
  return float(np.median([_nearest(x) for x in samples]))


def noise(samples: np.ndarray) -> float:
  """Returns 0.3 of the standard deviation of a value of the samples.

  Args:
    samples: `[K, N, ...]`.
  """
  return _NOISE * float(np.sqrt(samples.var(1).mean()))


def _nearest(points: np.ndarray) -> np.ndarray:
  """Returns the distance of each point `[N, D]` to the nearest other, `[N]`."""
  gaps = distance.cdist(points, points)
  np.fill_diagonal(gaps, np.inf)
  return gaps.min(1)


def _by_critics(
  key: types.PRNGKey,
  generators: Sequence[generator_lib.Generator],
  start: np.ndarray,
  weights: np.ndarray,
  alpha: float,
  bandwidth: float,
  steps: int,
  learning: learned_particles.Config | None,
  hooks: loop.Hooks | None,
) -> Sampled:
  """Samples with critics, from samples `[K, N, ...]` of the generators."""
  spec = barycenter_sources.with_critic(generators[0].spec, generators)
  critic = spec.build_critic()
  key_critics, key_flow = jax.random.split(key)
  known = barycenter_sources.known_critics(spec, generators)
  if known is None:
    keys = jax.random.split(key_critics, len(generators))
    critics = jax.vmap(critic.init)(keys)
  else:
    critics = trees.stack(known)
  bandwidth = bandwidth or noise(start)
  if not bandwidth > 0.0:
    raise ValueError('bandwidth: all samples of the generators are equal')
  inputs = barycenter_sources.build(
    generators, [g.params for g in generators], (), None
  )
  found = learned_particles.flow(
    key_flow, inputs, jnp.asarray(start), critic, critics,
    jnp.asarray(weights, jnp.float32), alpha=alpha, noise=bandwidth,
    schedule=loop.Schedule(steps, loop.chunk_of(steps, max(1, steps // 20))),
    config=learning, hooks=hooks,
  )  # fmt: skip
  spread = np.asarray(found.spread)
  few = max(1, len(spread) // 10)
  last, before = spread[-few:].mean(), spread[-2 * few : -few]
  steady = len(before) > 0 and abs(last / before.mean() - 1.0) < _STEADY
  speed = float(found.speed[-1] / jnp.maximum(found.speed[0], 1e-30))
  return Sampled(found.barycenter, bandwidth, float(last), speed, bool(steady))

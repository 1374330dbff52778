r"""Distances of what came back, by estimators whose bias is known.

Plug-in W1 of independent samples is biased upwards by more than the effect in
high dimension. Both estimators here bound W1:

* above, by the exact W1 of clouds that share latents. For samples of any joint
  law :math:`E W_1(\hat\mu, \hat\nu) \ge W_1(\mu, \nu)`, because W1 is convex;
  where latents are coupled well the excess vanishes.
* below, by the mean of a 1-Lipschitz map on fresh samples of both laws.

Shapes: K laws, N points, D dimensions.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.models import generator
from coalesce_jax.ot import exact
from coalesce_jax.ot import sinkhorn

LINE_SAMPLES = 400_000
SAMPLES = 1_000
FRESH = 50_000
BLOCK = 5_000


class Bounds(NamedTuple):
  """Bounds of a distance, up to the noise of their samples."""

  lower: float
  upper: float


def above(
  a: generator.Generator,
  b: generator.Generator,
  key: types.PRNGKey,
  near: tuple[generator.Generator, float] | None = None,
) -> float:
  """Exact W1 of clouds of the same latents, above W1 in expectation.

  Args:
    a: a law.
    b: another one.
    key: consumed.
    near: a law near `a` and its true distance to `b`, a control variate: what
      the same latents make of that distance is taken off and the true one put
      in its place. The mean moves by the excess of that pair, which is none
      where the bound is tight; the noise falls to that of what differs.
  """
  line = a.spec.image_shape == (1,)
  n = LINE_SAMPLES if line else SAMPLES
  z = jax.random.normal(key, (n, a.spec.latent_size))
  y = push(b, z)
  value = exact.w1(push(a, z), y)
  if near is None:
    return value
  return value - exact.w1(push(near[0], z), y) + near[1]


def below(
  a: generator.Generator,
  b: generator.Generator,
  measure: Callable[[jax.Array], jax.Array],
  key: types.PRNGKey,
) -> float:
  """Distance of the means of a 1-Lipschitz `measure`, `[N, D]` -> `[N, m]`."""
  total: Any = 0.0
  for k in jax.random.split(key, FRESH // BLOCK):
    z = jax.random.normal(k, (BLOCK, a.spec.latent_size))
    gap = measure(push(a, z)).mean(0) - measure(push(b, z)).mean(0)
    total = total + gap * (BLOCK / FRESH)
  return float(jnp.linalg.norm(total))


def bounds(
  a: generator.Generator,
  b: generator.Generator,
  measure: Callable[[jax.Array], jax.Array],
  key: types.PRNGKey,
  near: tuple[generator.Generator, float] | None = None,
) -> Bounds:
  """Bounds of the W1 of two laws of one latent size; `near` as of `above`."""
  key_above, key_below = jax.random.split(key)
  return Bounds(below(a, b, measure, key_below), above(a, b, key_above, near))


def known_pair(
  a: generator.Generator,
  b: generator.Generator,
  measure: Callable[[jax.Array], jax.Array],
  key: types.PRNGKey,
) -> dict[str, float]:
  """Every estimator on one pair of laws, for a table beside its true W1.

  Returns:
    The two bounds; the plug-in value of independent clouds and the Sinkhorn
    divergence of these, each with the value of two clouds of one law beside
    it, which shows its bias.
  """
  found = bounds(a, b, measure, key)
  keys = jax.random.split(key, 3)
  z = [
    np.asarray(jax.random.normal(k, (SAMPLES, a.spec.latent_size)))
    for k in keys
  ]
  x, y, other = push(a, z[0]), push(b, z[1]), push(a, z[2])
  return {
    'lower': found.lower,
    'upper': found.upper,
    'plug_in': exact.w1(x, y),
    'plug_in_same_law': exact.w1(x, other),
    'sinkhorn_divergence': sinkhorn.divergence(x, y),
    'sinkhorn_same_law': sinkhorn.divergence(x, other),
  }


def push(made: generator.Generator, z: Any) -> jax.Array:
  """Samples of given latents, `[N, Z]` -> `[N, D]`."""
  return _compiled(made.network.apply)(made.params, jnp.asarray(z))


@functools.lru_cache(maxsize=64)
def _compiled(apply: Any) -> Any:
  return jax.jit(apply)

"""What a critic says about two known laws, beside the truth.

Shapes: D dimensions, N points.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan.adversarial import wgan
from coalesce_jax.ot import funnels

BLOCK = 4096


def evaluate(
  critic: types.Network,
  params: types.Params,
  pair: funnels.Funnels,
  key: types.PRNGKey,
  samples: int,
) -> dict[str, Any]:
  """What the critic says, beside the truth, on fresh points.

  Args:
    critic: network.
    params: its parameters.
    pair: the laws.
    key: consumed.
    samples: number of points and of their moved partners.

  Returns:
    `gap`, the raw dual gap; `w1`, that over the mean slope between the laws
    where it exceeds 1; `true_w1`, on the same points; `cosine`, the mean over
    moved points, where a generator would take its gradient, and `base_cosine`,
    over uniform ones; `slope`, and `max_slope` of what was seen.
  """
  keys = jax.random.split(key, -(-samples // BLOCK))
  blocks = [
    jax.tree.map(np.asarray, _block(critic, params, pair, k)) for k in keys
  ]
  means = {k: float(np.mean([b[k] for b in blocks])) for k in blocks[0]}
  means['max_slope'] = float(max(b['max_slope'] for b in blocks))
  means['w1'] = float(
    wgan.distance(jnp.float32(means['gap']), jnp.float32(means['slope']))
  )
  means['relative_error'] = abs(means['w1'] / means['true_w1'] - 1.0)
  return means


@functools.partial(jax.jit, static_argnums=0)
def _block(
  critic: types.Network,
  params: types.Params,
  pair: funnels.Funnels,
  key: types.PRNGKey,
) -> dict[str, jax.Array]:
  """`evaluate` on one block of points."""
  key, key_points = jax.random.split(key)
  x = funnels.uniform(key, pair, BLOCK)
  y = funnels.move(pair, x)
  slopes = jax.grad(lambda v: jnp.sum(critic.apply(params, v)))

  def compare(points):
    found = slopes(points)
    size = jnp.linalg.norm(found, axis=1)
    truth = funnels.gradient(pair, points)
    cosine = jnp.sum(found * truth, 1) / jnp.maximum(size, 1e-9)
    return jnp.mean(cosine), jnp.max(size)

  between = wgan.interpolate(key_points, jnp.roll(x, 1, 0), y)
  cosine, steep = compare(y)
  base_cosine, base_steep = compare(x)
  return {
    'true_w1': jnp.mean(funnels.potential(pair, x))
    - jnp.mean(funnels.potential(pair, y)),
    'gap': wgan.dual_gap(lambda v: critic.apply(params, v), x, y),
    'cosine': cosine,
    'base_cosine': base_cosine,
    'slope': jnp.mean(jnp.linalg.norm(slopes(between), axis=1)),
    'max_slope': jnp.maximum(steep, base_steep),
  }

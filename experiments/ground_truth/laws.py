r"""Generators of laws whose barycenters are known.

Every law is a fixed base and a learned displacement of it,

.. math:: G(z) = x + M(x), \quad x = \mathrm{base}(z),

with a perceptron (affine path included) M that is zero for a law itself. Two
laws of one family read the same latents, so that samples of one z are coupled,
and the mean distance of coupled samples bounds W1 from above.

Shapes: B batch, D dimensions, K laws.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax import generators
from coalesce_jax import types
from coalesce_jax.networks import registry
from coalesce_jax.ot import funnels

Base = Callable[[Any, jax.Array], jax.Array]


def law(
  base: Base,
  params: Any,
  dimension: int,
  *,
  hidden: tuple[int, ...],
  critic: str,
  critic_options: dict[str, Any],
) -> generators.Generator:
  """The law of ``base(params, z)``, ready to be displaced.

  Args:
    base: ``(params, z [B, D]) -> [B, D]``; the same function for all laws of a
      family.
    params: its arrays, which stay as they are.
    dimension: D, of samples and latents.
    hidden: sizes of the displacement's layers.
    critic: registered name.
    critic_options: of the critic.
  """
  spec = generators.Spec(
    'mlp',
    dimension,
    (dimension,),
    generators.freeze({'hidden': hidden}),
    critic,
    generators.freeze(critic_options),
  )
  moved = spec.build().init(jax.random.key(1))
  for layer in ('out', 'affine'):
    moved[layer] = jax.tree.map(jnp.zeros_like, moved[layer])
  network = _displaced(base, dimension, tuple(hidden))
  params = {'base': jax.tree.map(jnp.asarray, params), 'move': moved}
  return generators.Generator(network, params, spec)


@functools.lru_cache(maxsize=64)
def _displaced(
  base: Base, dimension: int, hidden: tuple[int, ...]
) -> types.Network:
  move = registry.generator(
    'mlp', latent_size=dimension, data_shape=(dimension,), hidden=hidden
  )

  def apply(params: types.Params, z: jax.Array) -> jax.Array:
    x = base(jax.lax.stop_gradient(params['base']), z)
    return x + move.apply(params['move'], x)

  def init(key: types.PRNGKey) -> types.Params:
    raise ValueError('a law starts from its base; see `law`')

  return types.Network(init, apply)


def gaussian(params: Any, z: jax.Array) -> jax.Array:
  """N(mean, scale^2 I)."""
  return params['mean'][None] + params['scale'] * z


def ray(params: Any, z: jax.Array) -> jax.Array:
  """The moved points of `ot.funnels`, by `power`."""
  pair = funnels.Funnels(*params['funnels'])
  x = pair.half_width * (2.0 * jax.scipy.stats.norm.cdf(z) - 1.0)
  return funnels.move(pair, x, params['power'])


def atoms(params: Any, z: jax.Array) -> jax.Array:
  """A discrete law: `points` `[P, D]` of probabilities `histogram` `[P]`."""
  share = jax.scipy.stats.norm.cdf(z[:, 0])
  index = jnp.searchsorted(jnp.cumsum(params['histogram']), share)
  last = len(params['histogram']) - 1
  return params['points'][jnp.minimum(index, last)]


def direction(seed: int, dimension: int, count: int = 1) -> np.ndarray:
  """`count <= D` orthonormal vectors, `[count, D]`."""
  rng = np.random.default_rng([seed, dimension])
  square = rng.normal(size=(dimension, count))
  return np.linalg.qr(square)[0].T.astype(np.float32)

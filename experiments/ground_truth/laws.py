r"""Generators of laws whose barycenters are known.

Every law is a fixed base and a learned displacement of it,

.. math::
  G(z) = x + M(x), \quad
  M(x) = b + s \frac{x - m}{r \sqrt{D}} + g \, N\left(\frac{x - m}{r}\right),
  \quad x = \mathrm{base}(z),

with a shift b, an isotropic scale s and a perceptron N, all of which are zero
for a law itself. In this form a gradient step of size `h` along unit vectors
moves samples by about `h` in any dimension, where a plain perceptron moves
them by its width and drowns the common direction in the noise of its D^2
entries.

Two laws of one family read the same latents, so that samples of one z are
coupled, and the mean distance of coupled samples bounds W1 from above.

Shapes: B batch, D dimensions, P atoms.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.models import generator
from coalesce_jax.networks import registry
from coalesce_jax.ot import funnels

Base = Callable[[Any, jax.Array], jax.Array]


def law(
  base: Base,
  params: Any,
  dimension: int,
  *,
  center: Any = 0.0,
  scale: float = 1.0,
  gain: float = 1.0,
  latents: bool = False,
  hidden: tuple[int, ...] = (64, 64),
  critic: str = 'mlp',
  critic_options: dict[str, Any] | None = None,
) -> generator.Generator:
  """The law of ``base(params, z)``, ready to be displaced.

  Args:
    base: ``(params, z [B, D]) -> [B, D]``; the same function for all laws of a
      family.
    params: its arrays, which stay as they are.
    dimension: D, of samples and latents.
    center: m, about the mean of the family, `[D]` or a number.
    scale: r, about the deviation of a coordinate.
    gain: g, of the perceptron's share in what is learned.
    latents: whether the perceptron reads z too, so that atoms can be split.
    hidden: sizes of the perceptron's layers.
    critic: registered name.
    critic_options: of the critic.
  """
  spec = generator.Spec(
    'mlp',
    dimension,
    (dimension,),
    generator.freeze({'hidden': hidden}),
    critic,
    generator.freeze(critic_options or {}),
  )
  inner = _perceptron(dimension, bool(latents), tuple(hidden))
  network = inner.init(jax.random.key(1))
  network['out'] = jax.tree.map(jnp.zeros_like, network['out'])
  moved = {
    'shift': jnp.zeros(dimension),
    'scale': jnp.zeros(()),
    'network': network,
  }
  fixed = {
    'base': jax.tree.map(jnp.asarray, params),
    'center': jnp.broadcast_to(jnp.asarray(center, jnp.float32), (dimension,)),
    'scale': jnp.float32(scale),
  }
  made = _displaced(base, inner, float(gain), bool(latents))
  return generator.Generator(made, {'fixed': fixed, 'move': moved}, spec)


def _perceptron(
  dimension: int, latents: bool, hidden: tuple[int, ...]
) -> types.Network:
  size = 2 * dimension if latents else dimension
  return registry.generator(
    'mlp', latent_size=size, data_shape=(dimension,), hidden=hidden,
    affine=False,
  )  # fmt: skip


@functools.lru_cache(maxsize=64)
def _displaced(
  base: Base,
  network: types.Network,
  gain: float,
  latents: bool,
) -> types.Network:
  def apply(params: types.Params, z: jax.Array) -> jax.Array:
    fixed = jax.lax.stop_gradient(params['fixed'])
    move = params['move']
    x = base(fixed['base'], z)
    unit = (x - fixed['center'][None]) / fixed['scale']
    moved = move['shift'][None] + move['scale'] * unit / math.sqrt(x.shape[1])
    read = jnp.concatenate([unit, z], 1) if latents else unit
    return x + moved + gain * network.apply(move['network'], read)

  def init(key: types.PRNGKey) -> types.Params:
    raise ValueError('a law starts from its base; see `law`')

  return types.Network(init, apply)


def gaussian(params: Any, z: jax.Array) -> jax.Array:
  """N(mean, scale^2 I)."""
  return params['mean'][None] + params['scale'] * z


def contraction(params: Any, z: jax.Array) -> jax.Array:
  """Points of `ot.funnels`, drawn towards the centres by `share`."""
  pair = funnels.Funnels(*params['funnels'])
  return funnels.contract(pair, uniform(pair, z), params['share'])


def atoms(params: Any, z: jax.Array) -> jax.Array:
  """A discrete law: `points` `[P, D]` of probabilities `histogram` `[P]`."""
  share = jax.scipy.stats.norm.cdf(z[:, 0])
  index = jnp.searchsorted(jnp.cumsum(params['histogram']), share)
  last = len(params['histogram']) - 1
  return params['points'][jnp.minimum(index, last)]


def uniform(pair: funnels.Funnels, z: jax.Array) -> jax.Array:
  """Latents as points of the cube, uniformly distributed."""
  return pair.half_width * (2.0 * jax.scipy.stats.norm.cdf(z) - 1.0)


def direction(seed: int, dimension: int, count: int = 1) -> np.ndarray:
  """`count <= D` orthonormal vectors, `[count, D]`."""
  rng = np.random.default_rng([seed, dimension])
  square = rng.normal(size=(dimension, count))
  return np.linalg.qr(square)[0].T.astype(np.float32)

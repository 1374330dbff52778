r"""Pairs of laws whose W1 and optimal potential are known, in any dimension.

The potential is the lower envelope of N cones, a MinFunnel,

.. math:: u(x) = \min_n |x - a_n| + b_n,

1-Lipschitz with slope 1. Inside funnel n it falls along the ray from x to the
centre :math:`a_n`. Every map that moves points along their rays only is
therefore optimal: with :math:`R` the distance from the centre to the end of the
ray (another funnel, or the border of the cube) and :math:`t = |x - a_n| / R`,

.. math:: T_p(x) = a_n + t^p R \, (x - a_n) / |x - a_n|, \quad p \ge 1.

The laws :math:`\mu_p` of :math:`T_p(x)`, x uniform on the cube, lie on one W1
geodesic: :math:`W_1(\mu_p, \mu_q) = E |t^p - t^q| R`, by the dual value of u
alone. Korotin, Kolesov, Burnaev, "Kantorovich Strikes Back!",
https://arxiv.org/abs/2206.07767, who take p = 8.

Shapes: N funnels, B batch, D dimensions. Values in the units of the cube.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.ot import validation

HALF_WIDTH = 2.5
POWER = 8.0


class Funnels(NamedTuple):
  """A potential and its cube.

  Attributes:
    centers: a, `[N, D]`, inside the cube.
    biases: b, `[N]`.
    half_width: of the cube `[-half_width, half_width]^D`, scalar.
  """

  centers: jax.Array
  biases: jax.Array
  half_width: jax.Array


class Rays(NamedTuple):
  """Where points lie on their rays.

  Attributes:
    centers: of each point's funnel, `[B, D]`.
    directions: unit vectors from there, the gradient of u, `[B, D]`; zero at a
      centre.
    radii: distances from the centres, `[B]`.
    lengths: R, distances from the centres to the ends, `[B]`.
  """

  centers: jax.Array
  directions: jax.Array
  radii: jax.Array
  lengths: jax.Array


class Value(NamedTuple):
  """A Monte-Carlo mean, unbiased, and its standard error."""

  mean: jax.Array
  error: jax.Array


def funnels(
  centers: object, biases: object, half_width: float = HALF_WIDTH
) -> Funnels:
  """Checked `Funnels`.

  Args:
    centers: `[N, D]`.
    biases: `[N]`.
    half_width: positive.

  Raises:
    ValueError: shapes that do not fit, values that are not finite, a centre
      outside the cube.
  """
  a, b = (
    validation.cloud(centers, 'centers'),
    validation.array(biases, 'biases'),
  )
  if b.shape != a.shape[:1]:
    raise ValueError(f'biases: shape {b.shape} for {len(a)} centers')
  if not np.isfinite(b).all():
    raise ValueError('biases: values are not all finite')
  if not np.abs(a).max() <= half_width < np.inf or half_width == 0.0:
    raise ValueError(
      f'half_width: {half_width}, where a coordinate of centers is'
      f' {np.abs(a).max():.6g} from the origin'
    )
  return Funnels(
    jnp.asarray(a, jnp.float32),
    jnp.asarray(b, jnp.float32),
    jnp.float32(half_width),
  )


def create(key: types.PRNGKey, dimension: int, count: int) -> Funnels:
  """Random funnels by the published protocol.

  Args:
    key: consumed.
    dimension: D.
    count: N.

  Returns:
    Centres uniform on the cube, biases `0.1 N(0, 1)`.
  """
  for name, value in (('dimension', dimension), ('count', count)):
    if value < 1:
      raise ValueError(f'{name}: {value} is below 1')
  key_centers, key_biases = jax.random.split(key)
  centers = jax.random.uniform(
    key_centers, (count, dimension), minval=-HALF_WIDTH, maxval=HALF_WIDTH
  )
  biases = 0.1 * jax.random.normal(key_biases, (count,))
  return Funnels(centers, biases, jnp.float32(HALF_WIDTH))


def uniform(key: types.PRNGKey, pair: Funnels, n: int) -> jax.Array:
  """`n` points of the uniform law on the cube, `[n, D]`."""
  if n < 1:
    raise ValueError(f'n: {n} is below 1')
  shape = (n, pair.centers.shape[1])
  unit = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
  return pair.half_width * unit


def potential(pair: Funnels, x: jax.Array) -> jax.Array:
  """The potential at `x` `[B, D]`: `[B]`."""
  index = _funnel(pair, x)
  gap = x - pair.centers[index]
  return jnp.linalg.norm(gap, axis=1) + pair.biases[index]


def gradient(pair: Funnels, x: jax.Array) -> jax.Array:
  """The gradient of u at `x` `[B, D]`: unit vectors, zero at a centre."""
  return rays(pair, x).directions


def rays(pair: Funnels, x: jax.Array) -> Rays:
  """The rays through `x` `[B, D]`, points of the cube."""
  index = _funnel(pair, x)
  center = pair.centers[index]
  radius = jnp.linalg.norm(x - center, axis=1)
  safe = jnp.where(radius > 0.0, radius, 1.0)
  direction = (x - center) / safe[:, None]

  # Funnel m takes over at r where |a_n + r e - a_m| + b_m = r + b_n.
  bias = pair.biases[index][:, None] - pair.biases[None]  # [B, N]
  along = _product(direction, pair.centers)  # [B, N]
  slope = bias - jnp.sum(center * direction, 1)[:, None] + along
  apart = pair.centers[:, None] - pair.centers[None]  # [N, N, D]
  squared = jnp.sum(apart * apart, -1)[index] - bias * bias
  other = jnp.arange(len(pair.biases))[None] != index[:, None]
  crosses = other & (slope > 0.0) & (squared > 0.0)
  meet = squared / (2.0 * jnp.where(crosses, slope, 1.0))
  meet = jnp.min(jnp.where(crosses, meet, jnp.inf), 1)

  moving = direction != 0.0
  border = jnp.sign(direction) * pair.half_width - center
  border = border / jnp.where(moving, direction, 1.0)
  border = jnp.min(jnp.where(moving, border, jnp.inf), 1)
  # Rounding must not put the end before the point.
  length = jnp.maximum(jnp.minimum(meet, border), radius)
  length = jnp.where(radius > 0.0, length, 0.0)
  return Rays(center, direction, radius, length)


def move(
  pair: Funnels, x: jax.Array, power: jax.Array | float = POWER
) -> jax.Array:
  """T_p at points `x` `[B, D]` of the cube: `[B, D]`."""
  ray = rays(pair, x)
  share = ray.radii / jnp.where(ray.lengths > 0.0, ray.lengths, 1.0)
  radius = share**power * ray.lengths
  return ray.centers + radius[:, None] * ray.directions


def contract(
  pair: Funnels, x: jax.Array, share: jax.Array | float
) -> jax.Array:
  """Points `x` `[B, D]` drawn towards their funnels' centres: `[B, D]`.

  ``a_n + (1 - share) (x - a_n)``. The laws of all shares in [0, 1] lie on one
  geodesic: `W_1` between shares `s` and `t` is ``|s - t| E |x - a_n|``.
  """
  ray = rays(pair, x)
  return x - share * ray.radii[:, None] * ray.directions


def samples(
  key: types.PRNGKey, pair: Funnels, n: int, power: jax.Array | float = POWER
) -> jax.Array:
  """`n` independent points of mu_p, `[n, D]`."""
  return move(pair, uniform(key, pair, n), power)


def distance(
  key: types.PRNGKey,
  pair: Funnels,
  n: int,
  power: jax.Array | float = POWER,
  other: jax.Array | float = 1.0,
) -> Value:
  """Exact W1 between mu_power and mu_other, by the mean of `n` moves.

  Both the coupling through the maps (an upper bound) and the dual value of u
  on the same points (a lower bound) equal it.
  """
  ray = rays(pair, uniform(key, pair, n))
  share = ray.radii / jnp.where(ray.lengths > 0.0, ray.lengths, 1.0)
  moved = jnp.abs(share**power - share**other) * ray.lengths
  return mean_and_error(moved)


def mean_and_error(values: jax.Array) -> Value:
  """Mean of `[n]` values and the standard error of that mean."""
  return Value(values.mean(), values.std() / jnp.sqrt(values.size))


def _funnel(pair: Funnels, x: jax.Array) -> jax.Array:
  """Index of the lowest cone at `x`: `[B]`."""
  if x.ndim != 2 or x.shape[1] != pair.centers.shape[1]:
    raise ValueError(f'x: shape {x.shape} is not [B, {pair.centers.shape[1]}]')
  # By a product: rounding only matters where two cones meet.
  squared = (
    jnp.sum(x * x, 1)[:, None]
    + jnp.sum(pair.centers**2, 1)[None]
    - 2.0 * _product(x, pair.centers)
  )
  cones = jnp.sqrt(jnp.maximum(squared, 0.0)) + pair.biases[None]
  return jnp.argmin(cones, 1)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
  """`x @ y.T` in full float32; accelerators round their factors otherwise."""
  return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)

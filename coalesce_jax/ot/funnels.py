r"""Makes pairs of distributions with known W1 and potential, in any dimension.

The potential is the lower envelope of N cones, called a MinFunnel:

.. math:: u(x) = \min_n |x - a_n| + b_n

Its gradient has norm 1. Inside funnel n it decreases along the ray from x to
the centre :math:`a_n`, so that every map that moves points along their rays is
optimal. Let :math:`R` be the distance from the centre to the end of the ray,
which is another funnel or the border of the cube, and
:math:`t = |x - a_n| / R`. The maps are

.. math:: T_p(x) = a_n + t^p R \, (x - a_n) / |x - a_n|, \quad p \ge 1.

For x uniform on the cube, let :math:`\mu_p` be the distribution of
:math:`T_p(x)`. These distributions lie on one W1 geodesic, and by the dual
value of u :math:`W_1(\mu_p, \mu_q) = E |t^p - t^q| R`. Korotin, Kolesov,
Burnaev, "Kantorovich Strikes Back!", https://arxiv.org/abs/2206.07767, use
p = 8.

Shapes: N funnels, B batch, D dimensions. Values are in units of the cube.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.ot import exact
from coalesce_jax.ot import validation

HALF_WIDTH = 2.5
POWER = 8.0
# Bounds of sizes whose squares float32 can hold.
LEAST, LARGEST = 1e-12, 1e15


class Funnels(NamedTuple):
  """A potential and its cube.

  Attributes:
    centers: centres a of the funnels, `[N, D]`, inside the cube.
    biases: biases b, `[N]`.
    half_width: half the width of the cube around the origin, a scalar.
  """

  centers: jax.Array
  biases: jax.Array
  half_width: jax.Array


class Rays(NamedTuple):
  """The rays of points.

  Attributes:
    centers: centre of each point's funnel, `[B, D]`.
    directions: unit vectors from the centres to the points, which are the
      gradient of u, `[B, D]`; zero at a centre.
    radii: distances of the points from the centres, `[B]`.
    lengths: R, distances of the rays' ends from the centres, `[B]`.
  """

  centers: jax.Array
  directions: jax.Array
  radii: jax.Array
  lengths: jax.Array


class Value(NamedTuple):
  """An unbiased Monte-Carlo mean and its standard error."""

  mean: jax.Array
  error: jax.Array


def funnels(
  centers: object, biases: object, half_width: float = HALF_WIDTH
) -> Funnels:
  """Makes `Funnels` from checked values.

  Args:
    centers: `[N, D]`.
    biases: `[N]`.
    half_width: half the width of the cube, positive.

  Raises:
    ValueError: shapes do not fit, values are not finite or out of range for
      float32, or a centre is outside the cube.
  """
  a, b = (
    validation.point_cloud(centers, 'centers'),
    validation.array(biases, 'biases'),
  )
  if b.shape != a.shape[:1]:
    raise ValueError(f'biases: shape {b.shape} for {len(a)} centers')
  if not np.isfinite(b).all():
    raise ValueError('biases: values are not all finite')
  if not np.abs(a).max() <= half_width < np.inf or half_width == 0.0:
    raise ValueError(
      f'half_width: {half_width} is not positive and finite, or is below'
      f' {np.abs(a).max():.6g}, the largest coordinate of centers'
    )
  if not LEAST <= half_width <= LARGEST or np.abs(b).max() > LARGEST:
    raise ValueError(
      f'half_width: {half_width} or biases up to {np.abs(b).max():.6g} are '
      'out of range for squares in float32; use other units'
    )
  return Funnels(
    jnp.asarray(a, jnp.float32),
    jnp.asarray(b, jnp.float32),
    jnp.float32(half_width),
  )


def create(key: types.PRNGKey, dimension: int, count: int) -> Funnels:
  """Draws random funnels by the published protocol.

  Args:
    key: random key, consumed.
    dimension: D.
    count: N.

  Returns:
    Funnels with centres uniform on the cube and biases `0.1 N(0, 1)`.

  Raises:
    ValueError: D or N is below 1.
  """
  for name, value in (('dimension', dimension), ('count', count)):
    if value < 1:
      raise ValueError(f'{name}: {value} is below 1')
  key_centers, key_biases = jax.random.split(keys_lib.typed(key, 0))
  centers = jax.random.uniform(
    key_centers, (count, dimension), minval=-HALF_WIDTH, maxval=HALF_WIDTH
  )
  biases = 0.1 * jax.random.normal(key_biases, (count,))
  return Funnels(centers, biases, jnp.float32(HALF_WIDTH))


def uniform(key: types.PRNGKey, pair: Funnels, n: int) -> jax.Array:
  """Draws `n` points `[n, D]` uniformly on the cube."""
  if n < 1:
    raise ValueError(f'n: {n} is below 1')
  shape = (n, pair.centers.shape[1])
  key = keys_lib.typed(key, 0)
  unit = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
  return pair.half_width * unit


def potential(pair: Funnels, x: jax.Array) -> jax.Array:
  """Returns the potential u, `[B]`, at points `x` `[B, D]`."""
  index = _funnel(pair, x)
  gap = x - pair.centers[index]
  return exact.norms(gap) + pair.biases[index]


def gradient(pair: Funnels, x: jax.Array) -> jax.Array:
  """Returns the gradient of u at `x` `[B, D]`, which is zero at a centre."""
  return rays(pair, x).directions


def rays(pair: Funnels, x: jax.Array) -> Rays:
  """Returns the rays through the points `x` `[B, D]` of the cube."""
  index = _funnel(pair, x)
  center = pair.centers[index]
  radius = exact.norms(x - center)
  safe = jnp.where(radius > 0.0, radius, 1.0)
  direction = (x - center) / safe[:, None]

  # Funnel m is lower beyond the r with |a_n + r e - a_m| + b_m = r + b_n.
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
  """Applies the map T_p to points `x` `[B, D]` of the cube."""
  ray = rays(pair, x)
  position = ray.radii / jnp.where(ray.lengths > 0.0, ray.lengths, 1.0)
  radius = position**power * ray.lengths
  return ray.centers + radius[:, None] * ray.directions


def contract(
  pair: Funnels, x: jax.Array, fraction: jax.Array | float
) -> jax.Array:
  """Moves points towards the centres of their funnels by a fraction of the way.

  A point becomes ``a_n + (1 - fraction) (x - a_n)``. The distributions for all
  fractions in [0, 1] lie on one geodesic: W1 between those of `s` and `t` is
  ``|s - t| E |x - a_n|``.

  Args:
    pair: the funnels.
    x: points, `[B, D]`.
    fraction: a number in [0, 1].

  Returns:
    The moved points, `[B, D]`.
  """
  ray = rays(pair, x)
  return x - fraction * ray.radii[:, None] * ray.directions


def samples(
  key: types.PRNGKey, pair: Funnels, n: int, power: jax.Array | float = POWER
) -> jax.Array:
  """Draws `n` independent points `[n, D]` of mu_p."""
  return move(pair, uniform(key, pair, n), power)


def distance(
  key: types.PRNGKey,
  pair: Funnels,
  n: int,
  power: jax.Array | float = POWER,
  other: jax.Array | float = 1.0,
) -> Value:
  """Estimates W1 between mu_p and mu_q by the mean distance of `n` moves.

  The expected value is the exact W1: the cost of the coupling by the maps, an
  upper bound, equals the dual value of u, a lower bound.

  Args:
    key: random key, consumed.
    pair: the funnels.
    n: number of points.
    power: p.
    other: q.
  """
  ray = rays(pair, uniform(key, pair, n))
  position = ray.radii / jnp.where(ray.lengths > 0.0, ray.lengths, 1.0)
  moved = jnp.abs(position**power - position**other) * ray.lengths
  return mean_and_error(moved)


def mean_and_error(values: jax.Array) -> Value:
  """Returns the mean of values `[n]` and the standard error of that mean.

  The error of a single value is unknown, which is NaN.
  """
  error = values.std() / jnp.sqrt(values.size)
  return Value(values.mean(), error if values.size > 1 else error * jnp.nan)


def _funnel(pair: Funnels, x: jax.Array) -> jax.Array:
  """Returns the index `[B]` of the lowest cone at each point."""
  if x.ndim != 2 or x.shape[1] != pair.centers.shape[1]:
    raise ValueError(f'x: shape {x.shape} is not [B, {pair.centers.shape[1]}]')
  # Products of far points would round away the distances between near ones.
  cones = exact.distances(x, pair.centers) + pair.biases[None]
  return jnp.argmin(cones, 1)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
  """Computes `x @ y.T` in float32, without the rounding of accelerators."""
  return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)

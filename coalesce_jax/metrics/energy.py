r"""Computes the energy distance, which is cheap, unbiased and differentiable.

Squared distances are :math:`|x|^2 + |y|^2 - 2 x^T y`, by matrix products of
samples about one of them. Where this difference loses digits, because two are
near each other beside their norms, distances come from direct differences.

Shapes: N real, M generated samples, D dimensions, R rows of a block.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ops import precision

# Below this fraction of the sum of squared norms a squared distance has lost
# more than six bits.
_NEAR = 1.0 / 64.0
# Rows whose distances are computed at once.
_BLOCK = 1024


def energy_distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """Computes ``2 E|a - b| - E|b - b'|``, an energy distance up to a constant.

  The constant is the term of the real samples, ``E|a - a'|``. Szekely and
  Rizzo, "Energy statistics", J. Stat. Planning and Inference 143 (2013).

  Neither an offset of all samples nor samples near each other cost digits. The
  gradient of a distance of 0 is 0. NumPy arrays are centred in their own
  precision, before JAX rounds them to float32.

  Args:
    a: real samples, `[N, ...]`.
    b: generated samples, `[M, ...]`, M >= 2. The estimate of their term is
      unbiased.

  Returns:
    A scalar in units of the samples; lower is better.

  Raises:
    ValueError: there are too few samples, or their shapes differ.
  """
  a, b = (x if isinstance(x, jax.Array) else _native(x) for x in (a, b))
  if len(a) < 1 or len(b) < 2:
    raise ValueError(
      f'{len(a)} real and {len(b)} generated samples are too few: at least 1 '
      'and 2 are needed'
    )
  if a.shape[1:] != b.shape[1:]:
    raise ValueError(f'samples {a.shape[1:]} against {b.shape[1:]}')
  a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
  if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
    centre = b.mean(0, np.float64)
    a, b = a - centre[None], b - centre[None]
  a, b = jnp.asarray(a, float), jnp.asarray(b, float)
  unit = _unit(a, b)
  a, b = a / unit, b / unit
  # The distance of a sample to itself is 0.
  own = _mean_distance(b, b, True) * (len(b) / (len(b) - 1))
  return unit * (2.0 * _mean_distance(a, b, False) - own)


def _native(x: Any) -> np.ndarray:
  """Returns an array whose bytes JAX can read."""
  x = np.asarray(x)
  return x.astype(x.dtype.newbyteorder('='), copy=False)


def _unit(a: jax.Array, b: jax.Array) -> jax.Array:
  """Returns a power of 2 that keeps squares inside the range of floats."""
  largest = jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(b)))
  _, exponent = jnp.frexp(jax.lax.stop_gradient(largest))
  exponent = jnp.where(jnp.isfinite(largest), exponent, 0)
  return jnp.ldexp(jnp.ones((), a.dtype), jnp.clip(exponent, -100, 100))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _mean_distance(x: jax.Array, y: jax.Array, same: bool) -> jax.Array:
  """Computes the mean distance of rows of `x` `[N, D]` to those of `y`.

  Args:
    x: `[N, D]`.
    y: `[M, D]`.
    same: whether both are the same samples.
  """

  def block(total, rows, centred, squared, near):
    del centred

    def direct(i, sums):
      gap = rows[i][None] - y
      exact = jnp.where(near[i], jnp.sum(gap * gap, 1), 0.0)
      return sums.at[i].add(jnp.sum(jnp.sqrt(exact)))

    far = jnp.where(near, 0.0, jnp.maximum(squared, 0.0))
    sums = _each(near.any(1), direct, jnp.sum(jnp.sqrt(far), 1))
    return total + jnp.sum(sums / len(y)), None

  return _blocks(block, jnp.zeros((), x.dtype), x, y, same)[0] / len(x)


@_mean_distance.defjvp
def _mean_distance_jvp(same: bool, primals: Any, tangents: Any) -> Any:
  """Computes the mean and its change from sums of unit vectors.

  The distance of x and y changes by ``u (dx - dy)``, u the unit vector of
  their difference.
  """
  x, y = primals
  other = y - y[:1]

  def block(sums, rows, centred, squared, near):
    far = ~near & ~(squared <= 0.0)
    inverse = jnp.where(far, 1.0 / jnp.sqrt(jnp.where(far, squared, 1.0)), 0.0)
    own = centred * inverse.sum(1)[:, None] - precision.matmul(inverse, other)
    sums = sums + precision.matmul(inverse.T, centred)
    sums = sums - other * inverse.sum(0)[:, None]

    def direct(i, carry):
      own, sums = carry
      gap = rows[i][None] - y
      squared = jnp.sum(gap * gap, 1)
      apart = near[i] & (squared != 0.0)
      size = jnp.sqrt(jnp.where(apart, squared, 1.0))
      unit = jnp.where(apart, 1.0 / size, 0.0)[:, None] * gap
      return own.at[i].add(unit.sum(0)), sums + unit

    own, sums = _each(near.any(1), direct, (own, sums))
    return sums, own

  to_y, to_x = _blocks(block, jnp.zeros_like(y), x, y, same)
  pairs = len(x) * len(y)
  to_x, to_y = to_x.reshape(-1, x.shape[1])[: len(x)] / pairs, to_y / pairs
  change = jnp.sum(to_x * tangents[0]) - jnp.sum(to_y * tangents[1])
  return _mean_distance(x, y, same), change


def _blocks(
  block: Callable[..., tuple[Any, Any]],
  start: Any,
  x: jax.Array,
  y: jax.Array,
  same: bool,
) -> tuple[Any, Any]:
  """Scans over blocks of rows of `x`, the last filled up with zeros.

  Args:
    block: ``(carry, rows [R, D], centred rows [R, D], squared distances
      [R, M], near [R, M]) -> (carry, output)``. Distances that are near are
      wrong; those of rows of zeros are 0.
    start: first carry.
    x: `[N, D]`.
    y: `[M, D]`.
    same: whether both are the same samples.
  """
  size = min(_BLOCK, len(x))
  count = -(-len(x) // size)
  # A mean may be rounded differently each time that XLA computes it.
  centre = y[:1]
  other = y - centre
  lengths = jnp.sum(other * other, 1)[None]

  def body(carry, item):
    rows, at = item
    centred = rows - centre
    norms = jnp.sum(centred * centred, 1)[:, None] + lengths
    squared = norms - 2.0 * precision.matmul(centred, other.T)
    # A NaN is not near, so that it stays NaN.
    near = squared < _NEAR * norms
    index = (at + jnp.arange(size))[:, None]
    none = index >= len(x)
    if same:
      none = none | (index == jnp.arange(len(y))[None])
    squared = jnp.where(none, 0.0, squared)
    return block(carry, rows, centred, squared, near & ~none)

  padded = jnp.pad(x, ((0, count * size - len(x)), (0, 0)))
  rows = padded.reshape(count, size, x.shape[1])
  return jax.lax.scan(body, start, (rows, size * jnp.arange(count)))


def _each(
  wanted: jax.Array, update: Callable[[jax.Array, Any], Any], value: Any
) -> Any:
  """Applies ``update(i, value)`` for each row i that is wanted, `[R]`."""

  def body(carry):
    left, value = carry
    i = jnp.argmax(left)
    return left.at[i].set(False), update(i, value)

  return jax.lax.while_loop(lambda c: c[0].any(), body, (wanted, value))[1]

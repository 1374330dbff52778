"""Computes the energy distance, which is cheap, unbiased and differentiable.

Shapes: N real, M generated samples, D dimensions.
"""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ot import exact


def energy_distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """Computes ``2 E|a - b| - E|b - b'|``, an energy distance up to a constant.

  The constant is the term of the real samples, ``E|a - a'|``. Szekely and
  Rizzo, "Energy statistics", J. Stat. Planning and Inference 143 (2013).

  Distances are norms of differences, so that an offset of all samples costs no
  digits. The gradient of a distance of 0 is 0. NumPy arrays are centred in
  their own precision, before JAX rounds them to float32.

  Args:
    a: real samples, `[N, ...]`.
    b: generated samples, `[M, ...]`, M >= 2. The estimate of their term is
      unbiased.

  Returns:
    A scalar in units of the samples; lower is better.

  Raises:
    ValueError: there are too few samples, or their shapes differ.
  """
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
  # The distance of a sample to itself is 0.
  own = jnp.sum(_row_means(b, b)) / (len(b) - 1)
  return 2.0 * jnp.mean(_row_means(a, b)) - own


def _row_means(x: jax.Array, y: jax.Array) -> jax.Array:
  """Computes the mean distance `[N]` of rows of `x` to those of `y`."""

  # One row at a time, also in the gradient: N M D differences are too many.
  @jax.checkpoint
  def row(point):
    return jnp.mean(exact.distances(point[None], y))

  return jax.lax.map(row, x)

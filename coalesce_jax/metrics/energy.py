"""Computes the energy distance, which is cheap, unbiased and differentiable.

Shapes: N real, M generated samples.
"""

import jax
import jax.numpy as jnp


def energy_distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """Computes ``2 E|a - b| - E|b - b'|``, an energy distance up to a constant.

  The constant is the term of the real samples, ``E|a - a'|``. Szekely and
  Rizzo, "Energy statistics", J. Stat. Planning and Inference 143 (2013).

  Args:
    a: real samples, `[N, ...]`.
    b: generated samples, `[M, ...]`, M >= 2. The estimate of their term is
      unbiased.

  Returns:
    A scalar in units of the samples; lower is better.
  """
  a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)

  def distances(x, y):
    product = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    squared = (
      jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None] - 2.0 * product
    )
    return jnp.sqrt(jnp.maximum(squared, 0.0))

  own = distances(b, b)
  m = len(b)
  own = (jnp.sum(own) - jnp.trace(own)) / (m * (m - 1))
  return 2.0 * jnp.mean(distances(a, b)) - own

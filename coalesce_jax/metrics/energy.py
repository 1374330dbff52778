"""Energy distance between samples: cheap, unbiased, differentiable.

Shapes: N real, M generated samples.
"""

import jax
import jax.numpy as jnp


def energy_distance(a: jax.Array, b: jax.Array) -> jax.Array:
  """``2 E|a - b| - E|b - b'|``, the part of the energy distance that varies.

  Args:
    a: `[N, ...]`, real samples (their own term is constant).
    b: `[M, ...]`, M >= 2; its own term is unbiased.

  Returns:
    Scalar, in units of the samples. Szekely and Rizzo, "Energy statistics",
    J. Stat. Planning and Inference 143 (2013).
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

r"""Which functional of the distances to the sources a generator descends.

With :math:`W_k = W_1(\mu_k, \mathrm{law}(G))`, its gradient is that of
:math:`\sum_k c_k W_k` with constant coefficients:

* `'w1'`: :math:`\sum \lambda_k W_k`, `c_k = lambda_k`. A median.
* `'w1_squared'`: :math:`\sum \lambda_k W_k^2`, `c_k = 2 lambda_k W_k`. For two
  sources the minimiser lies at `W_1 = D lambda_2 / (lambda_1 + lambda_2)`.
* `'ball'`: :math:`\min W_1` subject to :math:`W_k \le \eta_k` for `k >= 2`, by
  the augmented Lagrangian `c_k = max(0, m_k + rho e_k)`, `e_k = W_k - eta_k`.
  Multipliers integrate `e_k` within `[-1 / rho, 1 / rho]` only (anti-windup): a
  generator far outside a ball, on its way, is drawn by the penalty alone.

Shapes: K sources. Distances in the units of the samples.
"""

import jax
import jax.numpy as jnp

NAMES = ('w1', 'w1_squared', 'ball')


def coefficients(
  name: str,
  w1: jax.Array,
  weights: jax.Array,
  radii: jax.Array,
  multipliers: jax.Array,
  penalty: float,
) -> jax.Array:
  """`c`, `[K]`.

  Args:
    name: one of `NAMES`.
    w1: distances, `[K]`.
    weights: lambda, `[K]`.
    radii: eta, `[K]`, of `'ball'`; the first is not used.
    multipliers: m, `[K]`, of `'ball'`.
    penalty: rho, of `'ball'`.
  """
  if name == 'w1':
    return weights
  if name == 'w1_squared':
    return 2.0 * weights * jnp.maximum(w1, 0.0)
  c = jnp.maximum(multipliers + penalty * (w1 - radii), 0.0)
  return c.at[0].set(1.0)


def multipliers(
  before: jax.Array,
  w1: jax.Array,
  radii: jax.Array,
  penalty: float,
  rate: float,
) -> jax.Array:
  """The next multipliers, `[K]`; the first source has none, zero."""
  excess = jnp.clip(w1 - radii, -1.0 / penalty, 1.0 / penalty)
  return jnp.maximum(before + rate * excess, 0.0).at[0].set(0.0)


def value(name: str, w1: jax.Array, weights: jax.Array) -> jax.Array:
  """The functional at distances `w1` `[K]`: a scalar."""
  if name == 'w1':
    return jnp.sum(weights * w1)
  if name == 'w1_squared':
    return jnp.sum(weights * w1 * w1)
  return w1[0]

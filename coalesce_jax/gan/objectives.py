r"""Defines which functional of its distances the generator descends.

Let :math:`W_k = W_1(\mu_k, \nu)`, where :math:`\nu` is the distribution of the
generator. The gradient of each functional is that of :math:`\sum_k c_k W_k`
with the coefficients `c_k` held constant:

* `'w1'`: :math:`\sum \lambda_k W_k`, `c_k = lambda_k`. The minimiser is a
  median.
* `'w1_squared'`: :math:`\sum \lambda_k W_k^2`, `c_k = 2 lambda_k W_k`. For two
  sources at distance D the minimiser has
  `W_1 = D lambda_2 / (lambda_1 + lambda_2)`.
* `'ball'`: :math:`\min W_1` subject to :math:`W_k \le \eta_k` for `k >= 2`, by
  the augmented Lagrangian `c_k = max(0, m_k + rho e_k)`, `e_k = W_k - eta_k`.
  The multipliers `m_k` integrate `e_k` clipped to `[-1 / rho, 1 / rho]`
  (anti-windup). Only the penalty draws a generator that is still far outside a
  ball.

A new objective is a factory in this file, a line of `TABLE`, and its name in
`config.OBJECTIVES`.

Shapes: K sources. Distances are in the units of the samples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


class Objective(NamedTuple):
  """An objective as pure functions.

  Attributes:
    init: ``K -> state``, `()` for an objective without state.
    coefficients: ``(state, w1, weights, radii) -> c``, all `[K]`.
    update: ``(state, w1, radii) -> state``, called after every step that is not
      a warm-up step.
    value: ``(w1, weights) -> scalar``, the value of the functional.
    metrics: ``(state, w1, radii) -> metrics`` of the objective.
  """

  init: Callable[[int], Any]
  coefficients: Callable[[Any, jax.Array, jax.Array, jax.Array], jax.Array]
  update: Callable[[Any, jax.Array, jax.Array], Any]
  value: Callable[[jax.Array, jax.Array], jax.Array]
  metrics: Callable[[Any, jax.Array, jax.Array], types.Metrics]


def w1() -> Objective:
  """Returns the weighted sum of distances."""
  return _without_state(
    lambda w1, weights: weights,
    lambda w1, weights: jnp.sum(weights * w1),
  )


def w1_squared() -> Objective:
  """Returns the weighted sum of squared distances."""
  return _without_state(
    lambda w1, weights: 2.0 * weights * jnp.maximum(w1, 0.0),
    lambda w1, weights: jnp.sum(weights * w1 * w1),
  )


def ball(penalty: float, rate: float) -> Objective:
  """Returns the distance to the first source, within radii of the others.

  The state holds the multipliers, `[K]`. The one of the first source stays 0.

  Args:
    penalty: rho, positive, one over a length.
    rate: step size of the multipliers, one over a length.
  """

  def coefficients(
    multipliers: jax.Array, w1: jax.Array, weights: jax.Array, radii: jax.Array
  ) -> jax.Array:
    del weights
    c = jnp.maximum(multipliers + penalty * (w1 - radii), 0.0)
    return c.at[0].set(1.0)

  def update(
    multipliers: jax.Array, w1: jax.Array, radii: jax.Array
  ) -> jax.Array:
    excess = jnp.clip(w1 - radii, -1.0 / penalty, 1.0 / penalty)
    return jnp.maximum(multipliers + rate * excess, 0.0).at[0].set(0.0)

  def metrics(
    multipliers: jax.Array, w1: jax.Array, radii: jax.Array
  ) -> types.Metrics:
    violation = jnp.maximum(w1 - radii, 0.0).at[0].set(0.0)
    return {'multiplier': multipliers, 'violation': violation}

  return Objective(
    init=jnp.zeros,
    coefficients=coefficients,
    update=update,
    value=lambda w1, weights: w1[0],
    metrics=metrics,
  )


# Name -> ``(penalty, rate of multipliers) -> Objective``.
TABLE: dict[str, Callable[[float, float], Objective]] = {
  'w1': lambda penalty, rate: w1(),
  'w1_squared': lambda penalty, rate: w1_squared(),
  'ball': ball,
}


def build(name: str, penalty: float = 1.0, rate: float = 0.01) -> Objective:
  """Returns an objective by name.

  Args:
    name: one of `config.OBJECTIVES`.
    penalty: rho of `ball`; other objectives ignore it.
    rate: step size of the multipliers of `ball`; other objectives ignore it.
  """
  return TABLE[name](penalty, rate)


def _without_state(
  coefficients: Callable[[jax.Array, jax.Array], jax.Array],
  value: Callable[[jax.Array, jax.Array], jax.Array],
) -> Objective:
  return Objective(
    init=lambda count: (),
    coefficients=lambda state, w1, weights, radii: coefficients(w1, weights),
    update=lambda state, w1, radii: state,
    value=value,
    metrics=lambda state, w1, radii: {},
  )

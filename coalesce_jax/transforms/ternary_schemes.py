r"""Defines ternary schemes: how float weights become `{-n, 0, +p}`.

* `'truncated_gaussian'` (He and Fan, https://arxiv.org/abs/1810.01018). With
  mean :math:`\mu` and standard deviation :math:`\sigma` of the group,
  `D = clip(|delta|, 0, 3 sigma)` and `a = D / sigma`:

  .. math::
    t = [w > \mu + D] - [w < \mu - D], \quad
    \alpha = \mu + \sigma \frac{\phi(a)}{1 - \Phi(a)}, \quad w_q = \alpha t

  The gradient passes unchanged to `w`. The threshold `delta` learns through
  `alpha`.
* `'twn'` (Li et al., https://arxiv.org/abs/1605.04711). `alpha` is the mean of
  `|w|` over the weights beyond the threshold. Its derivative with respect to
  the threshold is that of a truncated mean under a Gaussian with the second
  moment of the group. The threshold starts at `0.7 E|w|`.
* `'ttq'` (Zhu et al., https://arxiv.org/abs/1612.01064). Two scales are
  learned. The threshold stays at `0.05 max|w|` of the start. In the paper it
  follows the largest weight while that changes.

A group is a layer or an output channel (last axis). Through `jax.custom_vjp`
the forward value is exactly ternary in float32. A new scheme is a factory in
this file and a line of `TABLE`.

Shapes: C output channels. Thresholds and scales have the units of the weights.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Axes = tuple[int, ...]
EPSILON = 1e-8


class Scheme(NamedTuple):
  """A scheme as pure functions of one leaf `w`, whose groups run over `axes`.

  Attributes:
    start: ``(w, axes, threshold_init) -> (thresholds, scales)``, both learned.
      The scales are a dict, or None if the scheme computes them.
    weights: ``(w, thresholds, scales, axes) -> w_q``, ternary, and
      differentiable in `w`, thresholds and scales.
  """

  start: Callable[[jax.Array, Axes, str], tuple[jax.Array, Any]]
  weights: Callable[[jax.Array, jax.Array, Any, Axes], jax.Array]


def truncated_gaussian() -> Scheme:
  """Returns the scheme of He and Fan.

  With 'sigma' thresholds start at .61 standard deviations, the least-squares
  optimum for Gaussian weights. With 'max' they start at .05 times the largest
  weight, as in the paper's experiments.
  """

  def start(
    w: jax.Array, axes: Axes, threshold_init: str
  ) -> tuple[jax.Array, None]:
    if threshold_init == 'max':
      return 0.05 * jnp.max(jnp.abs(w), axes), None
    return 0.61 * jnp.std(w, axes), None

  return Scheme(start, _one_scale(_gaussian))


def twn() -> Scheme:
  """Returns the scheme of Li et al."""

  def start(
    w: jax.Array, axes: Axes, threshold_init: str
  ) -> tuple[jax.Array, None]:
    del threshold_init
    return 0.7 * jnp.mean(jnp.abs(w), axes), None

  return Scheme(start, _one_scale(_twn))


def ttq() -> Scheme:
  """Returns the scheme of Zhu et al."""

  def start(
    w: jax.Array, axes: Axes, threshold_init: str
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    del threshold_init
    size = jnp.abs(w)
    delta = 0.05 * jnp.max(size, axes)
    beyond = size > _spread(delta, w)
    return delta, {
      'positive': _mean_where(w, beyond & (w > 0), axes),
      'negative': _mean_where(-w, beyond & (w < 0), axes),
    }

  def weights(
    w: jax.Array, delta: jax.Array, scales: Any, axes: Axes
  ) -> jax.Array:
    codes = _codes(w, 0.0, jnp.abs(delta))
    positive, negative = (
      jnp.maximum(scales[side], EPSILON) for side in ('positive', 'negative')
    )
    return _two_scales(axes, codes, w, positive, negative)

  return Scheme(start, weights)


def axes_of(w: jax.Array, granularity: str) -> Axes:
  """Returns the axes that a group runs over.

  Args:
    w: a leaf. Its last axis enumerates output channels.
    granularity: group, a 'layer' or a 'channel'.
  """
  return tuple(range(w.ndim - (granularity == 'channel')))


def _one_scale(codes_and_scale: Callable[..., Any]) -> Callable[..., jax.Array]:
  def weights(
    w: jax.Array, delta: jax.Array, scales: Any, axes: Axes
  ) -> jax.Array:
    del scales
    codes, alpha = codes_and_scale(w, delta, axes)
    return _straight_through(axes, codes, w, alpha)

  return weights


def _spread(group: jax.Array, w: jax.Array) -> jax.Array:
  """Gives a value for each group, `[]` or `[C]`, the rank of `w`."""
  return jnp.reshape(group, (1,) * (w.ndim - group.ndim) + group.shape)


def _codes(w: jax.Array, centre: Any, threshold: jax.Array) -> jax.Array:
  """Returns -1, 0 or +1 for each weight, without gradient."""
  threshold = _spread(threshold, w)
  return jax.lax.stop_gradient(
    (w > centre + threshold).astype(w.dtype)
    - (w < centre - threshold).astype(w.dtype)
  )


def _mean_where(w: jax.Array, mask: jax.Array, axes: Any) -> jax.Array:
  """Returns the mean over a mask, or of `|w|` where the mask is empty."""
  count = jnp.sum(mask, axes)
  some = jnp.sum(jnp.where(mask, w, 0.0), axes) / jnp.maximum(count, 1)
  return jnp.where(count > 0, some, jnp.mean(jnp.abs(w), axes))


def hazard(a: jax.Array) -> jax.Array:
  """Returns ``phi(a) / (1 - Phi(a))`` of the standard normal.

  It does not underflow.

  Args:
    a: any shape.
  """
  log_density = -0.5 * a * a - 0.5 * jnp.log(2.0 * jnp.pi)
  return jnp.exp(log_density - jax.scipy.stats.norm.logsf(a))


def _gaussian(
  w: jax.Array, delta: jax.Array, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
  w = jax.lax.stop_gradient(w)
  mean, sigma = jnp.mean(w, axes), jnp.std(w, axes)
  safe = jnp.maximum(sigma, EPSILON)
  a = jnp.clip(jnp.abs(delta) / safe, 0.0, 3.0)
  codes = _codes(w, _spread(mean, w), a * sigma)
  return codes, jnp.maximum(mean + safe * hazard(a), EPSILON)


def _twn(
  w: jax.Array, delta: jax.Array, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
  w = jax.lax.stop_gradient(w)
  size = jnp.abs(w)
  # Beyond the largest weight the group would be all zero.
  limit = 0.99 * jnp.max(size, axes)
  threshold = jnp.clip(jnp.abs(delta), 0.0, limit)
  codes = _codes(w, 0.0, threshold)
  exact = _mean_where(size, codes != 0.0, axes)
  scale = jnp.maximum(jnp.sqrt(jnp.mean(w * w, axes)), EPSILON)
  smooth = scale * hazard(threshold / scale)
  # It has the value of the exact mean and the derivative of the smooth one.
  alpha = jax.lax.stop_gradient(exact) + (
    smooth - jax.lax.stop_gradient(smooth)
  )
  return codes, jnp.maximum(alpha, EPSILON)


def _custom(
  value: Callable[..., jax.Array], backward: Callable[..., Any]
) -> Callable[..., jax.Array]:
  """Returns a function with static `axes` whose gradient is `backward`."""
  fn = jax.custom_vjp(value, nondiff_argnums=(0,))
  fn.defvjp(lambda axes, *args: (value(axes, *args), args), backward)
  return fn


def _one_value(axes, codes, w, alpha):
  del axes
  return codes * _spread(alpha, w)


def _one_backward(axes, saved, g):
  codes, _, _ = saved
  return jnp.zeros_like(codes), g, jnp.sum(g * codes, axes)


def _two_value(axes, codes, w, positive, negative):
  del axes
  return jnp.where(
    codes > 0,
    _spread(positive, w),
    jnp.where(codes < 0, -_spread(negative, w), 0.0),
  )


def _two_backward(axes, saved, g):
  codes, w, positive, negative = saved
  scale = jnp.where(
    codes > 0,
    _spread(positive, w),
    jnp.where(codes < 0, _spread(negative, w), 1.0),
  )
  return (
    jnp.zeros_like(codes),
    g * scale,
    jnp.sum(jnp.where(codes > 0, g, 0.0), axes),
    -jnp.sum(jnp.where(codes < 0, g, 0.0), axes),
  )


_straight_through = _custom(_one_value, _one_backward)
_two_scales = _custom(_two_value, _two_backward)

# Name -> scheme.
TABLE: dict[str, Scheme] = {
  'truncated_gaussian': truncated_gaussian(),
  'twn': twn(),
  'ttq': ttq(),
}

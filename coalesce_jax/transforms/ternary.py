r"""Ternary weights with scales and thresholds trained jointly.

Each scheme maps a float weight `w` to `{-n, 0, +p}` by a threshold:

* `'truncated_gaussian'` (He and Fan, https://arxiv.org/abs/1810.01018), with
  :math:`\mu, \sigma` the mean and deviation of the group, `D = clip(|delta|,
  0, 3 sigma)`, `a = D / sigma`:

  .. math::
    t = [w > \mu + D] - [w < \mu - D], \quad
    \alpha = \mu + \sigma \frac{\phi(a)}{1 - \Phi(a)}, \quad w_q = \alpha t

  The gradient passes unchanged to `w`; `delta` learns through `alpha`.
* `'twn'` (Li et al., https://arxiv.org/abs/1605.04711): `alpha` is the mean
  of `|w|` over the weights beyond the threshold; its derivative by the
  threshold is that of a truncated mean under a Gaussian of the group's
  second moment. The threshold starts at `0.7 E|w|`.
* `'ttq'` (Zhu et al., https://arxiv.org/abs/1612.01064): two learned scales,
  threshold `0.05 max|w|`, learned here through the scales' gradients alone:
  it stays where it starts, as published.

A group is a layer or an output channel (last axis). The forward value is
exactly ternary in float32, through `jax.custom_vjp`.
"""

from collections.abc import Callable, Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import base

SCHEMES = ('truncated_gaussian', 'twn', 'ttq')
GRANULARITIES = ('layer', 'channel')
THRESHOLD_INITS = ('sigma', 'max')
_EPSILON = 1e-8


def ternary(
  *,
  scheme: str = 'truncated_gaussian',
  granularity: str = 'layer',
  leaves: Sequence[str] = ('.*/kernel',),
  threshold_init: str = 'sigma',
) -> base.Transform:
  """Ternarizes the leaves whose whole name matches a pattern.

  The latent parameters are `{'weights': params, 'thresholds': {leaf: delta}}`
  and, for 'ttq', `'scales': {leaf: {'positive', 'negative'}}`; slashes in leaf
  names become points there.

  Args:
    scheme: one of `SCHEMES`.
    granularity: one threshold and scale a 'layer' or a 'channel'.
    leaves: patterns.
    threshold_init: 'sigma', 0.61 standard deviations (the least-squares
      optimum for Gaussian weights), or 'max', 0.05 times the largest weight
      (the value in the paper's experiments). Only for 'truncated_gaussian'.

  Raises:
    ValueError: unknown setting; at `init`, a pattern that matches no leaf.
  """
  for name, value, choices in (
    ('scheme', scheme, SCHEMES),
    ('granularity', granularity, GRANULARITIES),
    ('threshold_init', threshold_init, THRESHOLD_INITS),
  ):
    if value not in choices:
      raise ValueError(f'{name} {value!r} is not one of {choices}')

  def init(key: types.PRNGKey, params: types.Params) -> Any:
    del key
    chosen = selected(params, leaves)
    flat = trees.flatten(params)
    thresholds, scales = {}, {}
    for path in chosen:
      w = flat[path]
      axes = _axes(w, granularity)
      size = jnp.abs(w)
      if scheme == 'twn':
        delta = 0.7 * jnp.mean(size, axes)
      elif scheme == 'ttq' or threshold_init == 'max':
        delta = 0.05 * jnp.max(size, axes)
      else:
        delta = 0.61 * jnp.std(w, axes)
      thresholds[_key(path)] = delta
      if scheme == 'ttq':
        kept = size > _spread(delta, w)
        scales[_key(path)] = {
          'positive': _mean_where(w, kept & (w > 0), axes),
          'negative': _mean_where(-w, kept & (w < 0), axes),
        }
    latent = {'weights': params, 'thresholds': thresholds}
    return latent | ({'scales': scales} if scheme == 'ttq' else {})

  def apply(latent: Any) -> types.Params:
    def one(path: str, w: jax.Array) -> jax.Array:
      if _key(path) not in latent['thresholds']:
        return w
      delta = latent['thresholds'][_key(path)]
      axes = _axes(w, granularity)
      if scheme == 'ttq':
        pair = latent['scales'][_key(path)]
        codes = _codes(w, 0.0, jnp.abs(delta))
        positive, negative = (
          jnp.maximum(pair[side], _EPSILON) for side in ('positive', 'negative')
        )
        return _two_scales(axes, codes, w, positive, negative)
      make = _gaussian if scheme == 'truncated_gaussian' else _twn
      codes, alpha = make(w, delta, axes)
      return _straight_through(axes, codes, w, alpha)

    return trees.map_named(one, latent['weights'])

  return base.Transform(init, apply)


def selected(params: types.Params, leaves: Sequence[str]) -> list[str]:
  """Names of the leaves that match, in tree order.

  Raises:
    ValueError: a pattern matches none.
  """
  names = list(trees.flatten(params))
  for pattern in leaves:
    if not any(re.fullmatch(pattern, name) for name in names):
      raise ValueError(f'pattern {pattern!r} matches none of {names}')
  return [n for n in names if any(re.fullmatch(p, n) for p in leaves)]


def describe(
  params: types.Params,
  *,
  scheme: str,
  granularity: str,
  leaves: Sequence[str],
) -> dict[str, Any]:
  """What `Spec.encodings` holds under the name 'ternary'."""
  return {
    'scheme': scheme,
    'granularity': granularity,
    'leaves': selected(params, leaves),
  }


def summary(params: types.Params, leaves: Sequence[str]) -> dict[str, float]:
  """Fraction of zeros by ternary leaf, `'sparsity/<leaf>'`."""
  flat = trees.flatten(params)
  return {
    f'sparsity/{name}': float(jnp.mean(flat[name] == 0.0))
    for name in selected(params, leaves)
  }


def thresholds(latent: Any) -> dict[str, jax.Array]:
  """Threshold over deviation of the weights by leaf, mean over its groups.

  Args:
    latent: parameters as of `ternary`.
  """
  found = {}
  for path, w in trees.flatten(latent['weights']).items():
    delta = latent['thresholds'].get(_key(path))
    if delta is not None:
      sigma = jnp.std(w, tuple(range(w.ndim - delta.ndim)))
      found[path] = jnp.mean(jnp.abs(delta) / jnp.maximum(sigma, _EPSILON))
  return found


def _key(path: str) -> str:
  return path.replace('/', '.')


def _axes(w: jax.Array, granularity: str) -> tuple[int, ...]:
  """Axes that a group runs over."""
  return tuple(range(w.ndim - (granularity == 'channel')))


def _spread(group: jax.Array, w: jax.Array) -> jax.Array:
  """A value a group, `[]` or `[C]`, with the rank of `w`."""
  return jnp.reshape(group, (1,) * (w.ndim - group.ndim) + group.shape)


def _codes(w: jax.Array, centre: Any, threshold: jax.Array) -> jax.Array:
  """-1, 0 or +1 for each weight; no gradient."""
  threshold = _spread(threshold, w)
  return jax.lax.stop_gradient(
    (w > centre + threshold).astype(w.dtype)
    - (w < centre - threshold).astype(w.dtype)
  )


def _mean_where(w: jax.Array, mask: jax.Array, axes: Any) -> jax.Array:
  """Mean over a mask; over the whole group where the mask is empty."""
  count = jnp.sum(mask, axes)
  some = jnp.sum(jnp.where(mask, w, 0.0), axes) / jnp.maximum(count, 1)
  return jnp.where(count > 0, some, jnp.mean(jnp.abs(w), axes))


def hazard(a: jax.Array) -> jax.Array:
  """``phi(a) / (1 - Phi(a))`` of the standard normal, without underflow."""
  log_density = -0.5 * a * a - 0.5 * jnp.log(2.0 * jnp.pi)
  return jnp.exp(log_density - jax.scipy.stats.norm.logsf(a))


def _gaussian(
  w: jax.Array, delta: jax.Array, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
  w = jax.lax.stop_gradient(w)
  mean, sigma = jnp.mean(w, axes), jnp.std(w, axes)
  safe = jnp.maximum(sigma, _EPSILON)
  a = jnp.clip(jnp.abs(delta) / safe, 0.0, 3.0)
  codes = _codes(w, _spread(mean, w), a * sigma)
  return codes, jnp.maximum(mean + safe * hazard(a), _EPSILON)


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
  scale = jnp.maximum(jnp.sqrt(jnp.mean(w * w, axes)), _EPSILON)
  smooth = scale * hazard(threshold / scale)
  # The value is the exact mean, the derivative the smooth one's.
  alpha = jax.lax.stop_gradient(exact) + (
    smooth - jax.lax.stop_gradient(smooth)
  )
  return codes, jnp.maximum(alpha, _EPSILON)


def _custom(
  value: Callable[..., jax.Array], backward: Callable[..., Any]
) -> Callable[..., jax.Array]:
  """A function with static `axes` whose gradient is `backward`."""
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

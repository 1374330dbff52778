"""Trains ternary weights together with their scales and thresholds.

A ternary weight has one of the values `{-n, 0, +p}`. The scheme defines how a
float weight becomes ternary, see `ternary_schemes`. A group of weights shares
threshold and scale. It is a layer or an output channel (last axis).
"""

from collections.abc import Sequence
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import patterns
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.training import optimizers
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary_config
from coalesce_jax.transforms import ternary_schemes

SCHEMES = ternary_config.SCHEMES
GRANULARITIES = ternary_config.GRANULARITIES
THRESHOLD_INITS = ternary_config.THRESHOLD_INITS
# Patterns of the two phases: thresholds, then weights and scales.
PHASES = ('thresholds/.*', '(?!thresholds/).*')


@functools.lru_cache(maxsize=64)
def ternary(
  *,
  scheme: str = 'truncated_gaussian',
  granularity: str = 'layer',
  leaves: tuple[str, ...] = ('.*/kernel',),
  threshold_init: str = 'sigma',
  thresholds_first: bool = False,
) -> base.Reparam:
  """Returns the reparametrization that ternarizes the matching leaves.

  The latent parameters are `{'weights': params, 'thresholds': {leaf: delta}}`.
  Schemes that learn scales add `'scales': {leaf: {...}}`. Points replace the
  slashes of leaf names there. Nothing is frozen.

  Args:
    scheme: one of `SCHEMES`.
    granularity: group of one threshold and scale, a 'layer' or a 'channel'.
    leaves: regular expressions over whole leaf names.
    threshold_init: initial thresholds of 'truncated_gaussian', one of
      `THRESHOLD_INITS`, see `ternary_schemes`.
    thresholds_first: whether a step updates first the thresholds and then the
      weights, on the same batch, instead of both at once.

  Raises:
    ValueError: a setting is unknown; at `init`, a pattern matches no leaf.
  """
  ternary_config.check(scheme, granularity, threshold_init)
  scheme_fns = ternary_schemes.TABLE[scheme]

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    del key
    flat = trees.flatten(params)
    thresholds, scales = {}, {}
    for path in selected(params, leaves):
      axes = ternary_schemes.axes_of(flat[path], granularity)
      delta, learned = scheme_fns.start(flat[path], axes, threshold_init)
      thresholds[_key(path)] = delta
      if learned is not None:
        scales[_key(path)] = learned
    latent = {'weights': params, 'thresholds': thresholds}
    return latent | ({'scales': scales} if scales else {}), ()

  def apply(latent: Any, frozen: Any) -> types.Params:
    del frozen

    def one(path: str, w: jax.Array) -> jax.Array:
      if _key(path) not in latent['thresholds']:
        return w
      delta = latent['thresholds'][_key(path)]
      scales = latent.get('scales', {}).get(_key(path))
      axes = ternary_schemes.axes_of(w, granularity)
      return scheme_fns.weights(w, delta, scales, axes)

    return trees.map_named(one, latent['weights'])

  def phased(
    optimizer: optax.GradientTransformation, latent: Any
  ) -> base.Optimizers:
    return optimizers.phased(optimizer, PHASES, latent)

  def described(params: types.Params) -> dict[str, dict[str, Any]]:
    return {
      'ternary': describe(
        params, scheme=scheme, granularity=granularity, leaves=leaves
      )
    }

  return base.Reparam(
    init,
    apply,
    phased if thresholds_first else base.at_once,
    describe=described,
  )


def reparam(settings: ternary_config.Ternary) -> base.Reparam:
  """Returns the reparametrization of the generator.

  Args:
    settings: settings of ternarization.

  Raises:
    ValueError: a setting is unknown.
  """
  return ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
    thresholds_first=settings.thresholds_first,
  )


def critic_reparam(settings: ternary_config.Ternary) -> base.Reparam:
  """Returns the reparametrization of the critics.

  Their thresholds and weights are updated at once.

  Args:
    settings: settings of ternarization.
  """
  if not settings.critic:
    return base.identity()
  return ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
  )


def selected(params: types.Params, leaves: Sequence[str]) -> list[str]:
  """Returns the names of the matching leaves, in tree order.

  Args:
    params: parameters of a network.
    leaves: regular expressions over whole leaf names.

  Raises:
    ValueError: a pattern matches no leaf.
  """
  patterns.check(leaves, 'ternary leaves')
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
  """Returns what `Spec.encodings` holds under the name 'ternary'.

  Args:
    params: parameters of a network.
    scheme: see `ternary`.
    granularity: see `ternary`.
    leaves: see `ternary`. They are replaced by the names of the leaves.
  """
  return {
    'scheme': scheme,
    'granularity': granularity,
    'leaves': selected(params, leaves),
  }


def summary(params: types.Params, leaves: Sequence[str]) -> dict[str, float]:
  """Returns the fraction of zeros of each ternary leaf, `'sparsity/<leaf>'`.

  Args:
    params: ternary parameters of a network.
    leaves: regular expressions over whole leaf names.
  """
  flat = trees.flatten(params)
  return {
    f'sparsity/{name}': float(jnp.mean(flat[name] == 0.0))
    for name in selected(params, leaves)
  }


def thresholds(latent: Any) -> dict[str, jax.Array]:
  """Returns the mean threshold of each leaf, in deviations of its weights.

  The mean is over the groups of a leaf, each with its own deviation.

  Args:
    latent: latent parameters of `ternary`.
  """
  relative = {}
  for path, w in trees.flatten(latent['weights']).items():
    delta = latent['thresholds'].get(_key(path))
    if delta is not None:
      sigma = jnp.std(w, tuple(range(w.ndim - delta.ndim)))
      relative[path] = jnp.mean(
        jnp.abs(delta) / jnp.maximum(sigma, ternary_schemes.EPSILON)
      )
  return relative


def _key(path: str) -> str:
  return path.replace('/', '.')

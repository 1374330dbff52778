"""Ternary weights, with scales and thresholds that are trained jointly.

How a float weight `w` becomes `{-n, 0, +p}` is the scheme's, see
`ternary_schemes`. A group of weights that share threshold and scale is a layer
or an output channel (last axis).
"""

from collections.abc import Sequence
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.training import optimizers
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary_schemes

SCHEMES = ternary_schemes.NAMES
GRANULARITIES = ('layer', 'channel')
THRESHOLD_INITS = ternary_schemes.THRESHOLD_INITS
# Thresholds, then weights and scales.
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

  The latent parameters are `{'weights': params, 'thresholds': {leaf: delta}}`
  and, for schemes that learn them, `'scales': {leaf: {...}}`; slashes in leaf
  names become points there. Nothing is frozen.

  Args:
    scheme: one of `SCHEMES`.
    granularity: one threshold and scale a 'layer' or a 'channel'.
    leaves: regular expressions over whole leaf names.
    threshold_init: where thresholds start, one of `THRESHOLD_INITS`; only for
      'truncated_gaussian', see there.
    thresholds_first: whether a step updates thresholds and then weights, on
      the same batch, instead of both at once.

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
  how = ternary_schemes.TABLE[scheme]

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    del key
    flat = trees.flatten(params)
    thresholds, scales = {}, {}
    for path in selected(params, leaves):
      axes = ternary_schemes.axes_of(flat[path], granularity)
      delta, learned = how.start(flat[path], axes, threshold_init)
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
      return how.weights(w, delta, scales, axes)

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
      found[path] = jnp.mean(
        jnp.abs(delta) / jnp.maximum(sigma, ternary_schemes.EPSILON)
      )
  return found


def _key(path: str) -> str:
  return path.replace('/', '.')

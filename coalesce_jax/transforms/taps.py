r"""Learns which layers of a base network a task changes.

.. math:: W_t = W + [s \ge \tau] \, \Delta_t, \qquad
          \text{penalty} = \frac{w}{L} \sum_l |s_l|

A task trains the changes :math:`\Delta` and one score s for each layer. The
gradient passes through the threshold unchanged (straight-through). Only the
changes of open layers need to be stored. Wallingford et al., "Task adaptive
parameter sharing for multi-task learning", https://arxiv.org/abs/2203.16708.

Shapes: L layers, S seeds.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import patterns
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import base

_CHANGE, _SCORE = 'change', 'score'


@functools.lru_cache(maxsize=64)
def taps(
  leaves: tuple[str, ...] = ('.*kernel',),
  weight: float = 1.0,
  threshold: float = 0.1,
  start: float = 0.2,
) -> base.Reparam:
  """Returns the reparametrization of one task.

  In the latent parameters a gated leaf is a dict with `change` and `score`.
  Frozen are the gated leaves of the base network, and the threshold. All leaves
  without a match are trained as they are.

  Args:
    leaves: patterns of whole leaf names. Each leaf is a layer.
    weight: w, of the penalty.
    threshold: tau.
    start: initial scores. At or above the threshold all layers start open.

  Raises:
    ValueError: the weight is negative; at `init`, a pattern matches no leaf.
  """
  patterns.check(leaves, 'gated leaves')
  if not weight >= 0.0:
    raise ValueError(f'weight {weight} is negative')

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    del key
    labels = trees.label(params, [(p, 'gated') for p in leaves], 'free')
    latent, frozen = dict(trees.flatten(params)), {}
    for name, label in trees.flatten(labels).items():
      if label == 'gated':
        frozen[name] = latent.pop(name)
        latent[f'{name}/{_CHANGE}'] = jnp.zeros_like(frozen[name])
        latent[f'{name}/{_SCORE}'] = jnp.float32(start)
    return trees.unflatten(latent), trees.unflatten(frozen)

  def apply(latent: Any, frozen: Any) -> types.Params:
    found = dict(trees.flatten(latent))
    for name, constant in trees.flatten(frozen).items():
      change, score = (
        found.pop(f'{name}/{_CHANGE}'),
        found.pop(f'{name}/{_SCORE}'),
      )
      found[name] = constant + _open(score - threshold) * change
    return trees.unflatten(found)

  def penalty(latent: Any, frozen: Any) -> jax.Array:
    found = trees.flatten(latent)
    scores = jnp.stack([found[f'{n}/{_SCORE}'] for n in trees.flatten(frozen)])
    return weight * jnp.mean(jnp.abs(scores))

  return base.Reparam(init, apply, penalty=penalty)


def open_layers(latent: Any, threshold: float = 0.1) -> dict[str, Any]:
  """Returns whether each layer is open, `[]` or `[S]`, by the leaf's name.

  Args:
    latent: latent parameters, leaves `[S, ...]` for S seeds.
    threshold: tau of `taps`.
  """
  return {
    name.removesuffix(f'/{_SCORE}'): np.asarray(leaf) >= threshold
    for name, leaf in trees.flatten(latent).items()
    if name.endswith(f'/{_SCORE}')
  }


def stored(latent: Any, threshold: float = 0.1) -> list[Any]:
  """Returns what a task must store: all but the changes of closed layers.

  Args:
    latent: latent parameters, leaves `[S, ...]` for S seeds.
    threshold: tau of `taps`.
  """
  gates, kept = open_layers(latent, threshold), []
  for name, leaf in trees.flatten(latent).items():
    gate = gates.get(name.removesuffix(f'/{_CHANGE}'))
    kept.append(leaf if gate is None else np.asarray(leaf)[gate])
  return kept


@jax.custom_vjp
def _open(x: jax.Array) -> jax.Array:
  return (x >= 0.0).astype(x.dtype)


_open.defvjp(lambda x: (_open(x), None), lambda _, g: (g,))

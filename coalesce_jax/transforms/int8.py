"""Weights rounded to 8 bits, symmetric, one scale a channel: no training.

Krishnamoorthi, https://arxiv.org/abs/1806.08342, section 3.1: what a user would
try before ternary weights.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import ternary

LEVELS = 127


def rounded(params: types.Params, leaves: Sequence[str]) -> types.Params:
  """Parameters whose chosen leaves are multiples of a channel's scale.

  Args:
    params: of a generator.
    leaves: patterns of whole names; a channel is one index of the last axis.

  Raises:
    ValueError: a pattern matches no leaf.
  """
  chosen = set(ternary.selected(params, leaves))

  def one(path: str, w: jnp.ndarray) -> jnp.ndarray:
    if path not in chosen:
      return w
    largest = jnp.max(jnp.abs(w), tuple(range(w.ndim - 1)), keepdims=True)
    scale = jnp.maximum(largest, 1e-30) / LEVELS
    return jnp.round(w / scale) * scale

  return trees.map_named(one, params)

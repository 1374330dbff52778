"""Rounds weights to 8 bits without training: symmetric, one scale per channel.

Sec. 3.1 of Krishnamoorthi, https://arxiv.org/abs/1806.08342. This is the
baseline of ternary weights.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import ternary

LEVELS = 127


def rounded(params: types.Params, leaves: Sequence[str]) -> types.Params:
  """Returns parameters whose selected leaves are rounded to 8 bits.

  Args:
    params: parameters of a generator.
    leaves: patterns of whole leaf names. A channel is one index of the last
      axis.

  Returns:
    Parameters of the same shapes in float32. A selected weight is a whole
    multiple, at most 127, of the scale of its channel.

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

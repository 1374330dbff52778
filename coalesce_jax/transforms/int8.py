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
    Parameters of the same shapes. Selected leaves are float32; their weights
    are whole multiples, at most 127, of the scale of their channel. Channels
    below 1e-35, whose scale float32 cannot hold, become 0.

  Raises:
    ValueError: a pattern matches no leaf.
  """
  chosen = set(ternary.selected(params, leaves))

  def one(path: str, w: jnp.ndarray) -> jnp.ndarray:
    if path not in chosen:
      return w
    w = jnp.asarray(w, jnp.float32)
    axes = tuple(range(w.ndim - 1))
    largest = jnp.max(jnp.abs(w), axes, keepdims=True, initial=0.0)
    # Where all are 0 any scale will do.
    scale = jnp.where(largest < 1e-35, 1.0, largest) / LEVELS
    return jnp.round(w / scale) * scale

  return trees.map_named(one, params)

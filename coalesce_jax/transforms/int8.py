"""Rounds weights to 8 bits without training: symmetric, one scale per channel.

Sec. 3.1 of Krishnamoorthi, https://arxiv.org/abs/1806.08342. This is the
baseline of ternary weights.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import ternary

LEVELS = 127


def codes(w: Any) -> tuple[Any, Any]:
  """Returns the whole multiples of a scale that are nearest to weights.

  Args:
    w: a leaf, `[..., F]`. A channel is one index of the last axis.

  Returns:
    Multiples from -127 to 127, float32, of the shape of `w`; and one scale for
    each channel, `[F]`. NumPy computes them for a NumPy array.
  """
  xp = np if isinstance(w, np.ndarray) else jnp
  w = xp.asarray(w, xp.float32)
  largest = xp.max(xp.abs(w), tuple(range(w.ndim - 1)), initial=0.0)
  # Where all are 0 any scale will do.
  scale = xp.where(largest < 1e-35, xp.float32(1.0), largest) / LEVELS
  return xp.round(w / _spread(scale, w)), scale


def _spread(scale: Any, w: Any) -> Any:
  """Returns scales with the number of axes of a leaf."""
  return scale.reshape((1,) * (w.ndim - 1) + (-1,))


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

  def one(path: str, w: Any) -> Any:
    if path not in chosen:
      return w
    multiples, scale = codes(w)
    return multiples * _spread(scale, multiples)

  return trees.map_named(one, params)

"""Cuts and joins arrays along one axis: what Winograd's transforms share."""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp


def halves(count: int) -> list[tuple[int, int]]:
  """Returns (start, size) of the halves that are computed separately.

  `im2col` joins halves for the same reason.
  """
  half = count // 2
  return [(0, half), (half, count - half)] if half else [(0, count)]


def cut(
  x: jax.Array, axis: int, start: int, size: int, stride: int = 1
) -> jax.Array:
  """Returns `size` values of an axis, from `start`, one in `stride`."""
  stop = start + max(stride * (size - 1) + 1, 0)
  return lax.slice_in_dim(x, start, stop, stride, axis % x.ndim)


def joined(arrays: Sequence[jax.Array], axis: int) -> jax.Array:
  """Concatenates arrays; one array is returned as it is."""
  return jnp.concatenate(arrays, axis) if len(arrays) > 1 else arrays[0]


def interleaved(lines: Sequence[jax.Array], axis: int) -> jax.Array:
  """Returns the first values of all arrays, then the second ones, and so on."""
  axis %= lines[0].ndim
  shape = list(lines[0].shape)
  shape[axis] *= len(lines)
  return jnp.stack(lines, axis + 1).reshape(shape)


def padded(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
  """Pads an axis with zeros."""
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (before, after, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)

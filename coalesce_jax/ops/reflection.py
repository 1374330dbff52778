r"""Pads maps by reflection, without repeating the border.

Along an axis of n values the padded value at position i is

.. math:: x_{r(i)}, \quad r(i) = \min(i', 2 (n - 1) - i'), \quad
  i' = i \bmod 2 (n - 1).

The adjoint adds every padded value to the value that it copies. JAX would
derive one padded array for every slice instead; the pair of maps here visits
every value once.

Shapes: C channels, H, W map, B batch.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import adjoints

# Values (before, after) for rows and for columns.
Pads = tuple[tuple[int, int], tuple[int, int]]

_ROWS, _COLUMNS = -3, -2


def pad(x: jax.Array, pads: Pads) -> jax.Array:
  """Pads the rows and columns of maps by reflection.

  Args:
    x: maps, `[C, H, W, B]`.
    pads: values (before, after) for rows and for columns. A pad larger than
      H - 1 or W - 1 reflects repeatedly.

  Returns:
    `[C, H', W', B]`, equal to ``numpy.pad(x, ..., 'reflect')``.

  Raises:
    ValueError: an axis to pad has one value, which has nothing to reflect.
  """
  for n, pair in zip(x.shape[1:3], pads, strict=True):
    if n < 2 and any(pair):
      raise ValueError(
        f'maps of {x.shape[1]} x {x.shape[2]} pixels cannot be padded by '
        'reflection: a side needs at least 2 pixels'
      )
  for size, (top, bottom), (left, right) in _rounds(x.shape[1:3], pads):
    x = _PAD([x], (size, ((top, bottom), (left, right))))[0]
  return x


def _rounds(
  size: Sequence[int], pads: Pads
) -> list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
  """Splits pads into rounds that reflect once: ((H, W), row and column pads).

  A reflected axis continues by reflection at its new ends, because r is
  symmetric about all multiples of n - 1.
  """
  rounds = []
  (height, width), left = size, [list(pair) for pair in pads]
  while any(map(any, left)):
    step = [
      (min(low, n - 1), min(high, n - 1))
      for n, (low, high) in zip((height, width), left, strict=True)
    ]
    rounds.append(((height, width), step[0], step[1]))
    left = [
      [a - b for a, b in zip(pair, done, strict=True)]
      for pair, done in zip(left, step, strict=True)
    ]
    height, width = height + sum(step[0]), width + sum(step[1])
  return rounds


def _pad_impl(
  maps: Sequence[jax.Array], shape: tuple[tuple[int, int], Pads]
) -> list[jax.Array]:
  (x,), (size, pads) = maps, shape
  for axis, n, (low, high) in zip((_ROWS, _COLUMNS), size, pads, strict=True):
    at = axis % x.ndim
    pieces = [
      lax.rev(lax.slice_in_dim(x, 1, 1 + low, axis=at), (at,)),
      x,
      lax.rev(lax.slice_in_dim(x, n - 1 - high, n - 1, axis=at), (at,)),
    ]
    x = jnp.concatenate([p for p in pieces if p.shape[at]], at)
  return [x]


def _fold_impl(
  maps: Sequence[jax.Array], shape: tuple[tuple[int, int], Pads]
) -> list[jax.Array]:
  """Computes the adjoint of `_pad_impl`."""
  (y,), (size, pads) = maps, shape
  axes = (_COLUMNS, _ROWS)
  for axis, n, (low, high) in zip(axes, size[::-1], pads[::-1], strict=True):
    at = axis % y.ndim

    def cut(start: int, stop: int, y=y, at=at) -> jax.Array:
      return lax.slice_in_dim(y, start, stop, axis=at)

    x = cut(low, low + n)
    if low:
      x = _added(x, lax.rev(cut(0, low), (at,)), at, 1)
    if high:
      after = lax.rev(cut(low + n, low + n + high), (at,))
      x = _added(x, after, at, n - 1 - high)
    y = x
  return [y]


def _added(x: jax.Array, part: jax.Array, axis: int, start: int) -> jax.Array:
  """Adds a part to x, from the position `start` of an axis."""
  n, stop = x.shape[axis], start + part.shape[axis]
  pieces = [
    lax.slice_in_dim(x, 0, start, axis=axis),
    lax.slice_in_dim(x, start, stop, axis=axis) + part,
    lax.slice_in_dim(x, stop, n, axis=axis),
  ]
  return jnp.concatenate([p for p in pieces if p.shape[axis]], axis)


_PAD, _FOLD = adjoints.adjoint_pair('reflect', _pad_impl, _fold_impl)

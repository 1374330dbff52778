r"""Filters of two taps by three products for two results, not four.

.. math::
  y_0 &= d_0 g_0 + d_1 g_1 = (d_0 - d_1) g_0 + d_1 (g_0 + g_1) \\
  y_1 &= d_1 g_0 + d_2 g_1 = d_1 (g_0 + g_1) - (d_1 - d_2) g_1

Winograd's F(2, 2) (Arithmetic Complexity of Computations, 1980; for networks
Lavin and Gray, https://arxiv.org/abs/1509.09308), exact but for rounding: no
coefficient but 1 and -1. In two directions nine products do the work of
sixteen. The three factors `d`, `g`, `y` of the form :math:`\sum y d g`
keep their transforms in all of its derivatives.

Of an odd number of results the last one is computed as it stands: its terms
join the first and the last of the three products. A transform has one array
for each product.

Shapes: n results of a direction, n + 1 inputs, t = n // 2 tiles of two.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

Parts = list[jax.Array]


def inputs(d: jax.Array, axis: int) -> Parts:
  """`[n + 1]` of an axis -> the inputs of three products."""
  count = d.shape[axis] - 1
  parts: list[Parts] = [[], [], []]
  for start, size in _pieces(count // 2):
    first, middle, last = (
      _cut(d, axis, 2 * start + i, size, 2) for i in range(3)
    )
    for part, u in zip(
      parts, (first - middle, middle, middle - last), strict=True
    ):
      part.append(u)
  if count % 2:
    parts[0].append(_cut(d, axis, count - 1, 1))
    parts[2].append(-_cut(d, axis, count, 1))
  return [_joined(part, axis) for part in parts]


def inputs_adjoint(u: Sequence[jax.Array], axis: int) -> jax.Array:
  """The adjoint of `inputs`: back to `[n + 1]`."""
  tiles = u[1].shape[axis]
  odd = u[0].shape[axis] > tiles
  first, last = (_cut(part, axis, 0, tiles) for part in (u[0], u[2]))
  # What lies between two tiles belongs to both.
  even = _padded(first, axis, 0, 1) - _padded(last, axis, 1, 0)
  between = u[1] - first + last
  if not odd:
    found = _interleaved(even, _padded(between, axis, 0, 1), axis)
    return _cut(found, axis, 0, 2 * tiles + 1)
  even += _padded(_cut(u[0], axis, tiles, 1), axis, tiles, 0)
  between = _joined([between, -_cut(u[2], axis, tiles, 1)], axis)
  return _interleaved(even, between, axis)


def results(m: Sequence[jax.Array], axis: int) -> jax.Array:
  """Three products -> `[n]`."""
  tiles = m[1].shape[axis]
  first, last = (_cut(part, axis, 0, tiles) for part in (m[0], m[2]))
  y = _interleaved(first + m[1], m[1] - last, axis)
  if m[0].shape[axis] > tiles:
    rest = _cut(m[0], axis, tiles, 1) - _cut(m[2], axis, tiles, 1)
    y = _joined([y, rest], axis)
  return y


def results_adjoint(y: jax.Array, axis: int) -> Parts:
  """The adjoint of `results`: `[n]` -> three parts."""
  count = y.shape[axis]
  parts: list[Parts] = [[], [], []]
  for start, size in _pieces(count // 2):
    first, second = (_cut(y, axis, 2 * start + i, size, 2) for i in range(2))
    for part, v in zip(parts, (first, first + second, -second), strict=True):
      part.append(v)
  if count % 2:
    rest = _cut(y, axis, count - 1, 1)
    parts[0].append(rest)
    parts[2].append(-rest)
  return [_joined(part, axis) for part in parts]


def filters(g: jax.Array, axis: int) -> Parts:
  """Two taps on an axis -> the filters of three products, without it."""
  first, last = (lax.index_in_dim(g, i, axis, False) for i in range(2))
  return [first, first + last, last]


def sizes(count: int) -> tuple[int, int, int]:
  """How many of each product there are for n results."""
  tiles, odd = divmod(count, 2)
  return tiles + odd, tiles, tiles + odd


def _pieces(tiles: int) -> list[tuple[int, int]]:
  """(start, size) of tiles that are computed apart and joined.

  For the same reason as `patches._joined`.
  """
  half = tiles // 2
  return [(0, half), (half, tiles - half)] if half else [(0, tiles)]


def _cut(
  x: jax.Array, axis: int, start: int, size: int, stride: int = 1
) -> jax.Array:
  stop = start + stride * (size - 1) + 1
  return lax.slice_in_dim(x, start, stop, stride, axis % x.ndim)


def _joined(parts: Parts, axis: int) -> jax.Array:
  return jnp.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _interleaved(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
  axis %= even.ndim
  shape = list(even.shape)
  shape[axis] *= 2
  return jnp.stack([even, odd], axis + 1).reshape(shape)


def _padded(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (before, after, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)

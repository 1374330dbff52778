r"""Computes three outputs of a two-tap filter with four products, not six.

.. math::
  y_0 &= d_0 g_0 + d_1 g_1 = m_0 + m_1 + m_2, & m_0 &= (d_0 - d_2) g_0 \\
  y_1 &= d_1 g_0 + d_2 g_1 = m_1 - m_2, &
    m_1 &= (d_1 + d_2) (g_0 + g_1) / 2 \\
  y_2 &= d_2 g_0 + d_3 g_1 = m_1 + m_2 + m_3, &
    m_2 &= (d_2 - d_1) (g_0 - g_1) / 2 \\
  & & m_3 &= (d_3 - d_1) g_1

This is Winograd's F(3, 2) (Winograd, Arithmetic Complexity of Computations,
1980; for networks Lavin and Gray, https://arxiv.org/abs/1509.09308). It is
exact up to rounding, because its coefficients are 1, -1 and halves. In two
directions sixteen products replace thirty-six. All derivatives of the form
:math:`\sum y d g` use the same transforms of `d`, `g` and `y`.

If three does not divide the number of outputs, the rest is added to the four
products. One more output takes the two products of its definition, with
:math:`g_0` and :math:`g_1`. Two more take the three products of F(2, 2):

.. math::
  y_0 = (d_0 - d_1) g_0 + m, \quad y_1 = m + (d_2 - d_1) g_1, \quad
  m = 2 d_1 (g_0 + g_1) / 2

A transform returns one array for each of the four products.

Shapes: n outputs along an axis, n + 1 inputs, n // 3 tiles of three outputs.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

Arrays = list[jax.Array]


def inputs(d: jax.Array, axis: int) -> Arrays:
  """Transforms n + 1 inputs along an axis to the inputs of the products."""
  full, rest = divmod(d.shape[axis] - 1, 3)
  pieces: list[Arrays] = [[], [], [], []]
  for start, size in _pieces(full):
    a, b, c, e = (_cut(d, axis, 3 * start + i, size, 3) for i in range(4))
    _append(pieces, a - c, b + c, c - b, e - b)
  a, *others = (_cut(d, axis, 3 * full + i, 1) for i in range(rest + 1))
  if rest == 1:
    _append(pieces, a, None, None, others[0])
  elif rest == 2:
    b, c = others
    _append(pieces, a - b, 2 * b, None, c - b)
  return [_joined(each, axis) for each in pieces]


def inputs_adjoint(u: Sequence[jax.Array], axis: int) -> jax.Array:
  """Computes the adjoint of `inputs`, with n + 1 values along the axis."""
  (a, b, c, e), rests = _split(u, axis)
  full = c.shape[axis]
  # Neighbouring tiles share the input between them.
  before = _padded(_cut(e, axis, 0, max(full - 1, 0)), axis, min(full, 1), 0)
  lines = [a + before, b - c - e, b + c - a]
  last = [_cut(e, axis, full - 1, 1)] if full else []
  if len(rests) == 2:
    tail = [sum(last, rests[0]), rests[1]]
  elif rests:
    first, middle, end = rests
    tail = [sum(last, first), 2 * middle - first - end, end]
  else:
    tail = last
  return _joined([_interleaved(lines, axis), *tail], axis)


def results(m: Sequence[jax.Array], axis: int) -> jax.Array:
  """Combines the four products to n outputs along an axis."""
  (a, b, c, e), rests = _split(m, axis)
  both = b + c
  tail = []
  if len(rests) == 2:
    tail = [rests[0] + rests[1]]
  elif rests:
    tail = [rests[0] + rests[1], rests[1] + rests[2]]
  return _joined([_interleaved([a + both, b - c, both + e], axis), *tail], axis)


def results_adjoint(y: jax.Array, axis: int) -> Arrays:
  """Computes the adjoint of `results`, one array for each product."""
  full, rest = divmod(y.shape[axis], 3)
  pieces: list[Arrays] = [[], [], [], []]
  for start, size in _pieces(full):
    a, b, c = (_cut(y, axis, 3 * start + i, size, 3) for i in range(3))
    _append(pieces, a, a + b + c, a - b + c, c)
  others = [_cut(y, axis, 3 * full + i, 1) for i in range(rest)]
  if rest == 1:
    _append(pieces, others[0], None, None, others[0])
  elif rest == 2:
    _append(pieces, others[0], others[0] + others[1], None, others[1])
  return [_joined(each, axis) for each in pieces]


def filters(g: jax.Array, axis: int) -> Arrays:
  """Transforms the two taps along an axis, which the result lacks."""
  first, last = (lax.index_in_dim(g, i, axis, False) for i in range(2))
  return [first, 0.5 * (first + last), 0.5 * (first - last), last]


def sizes(count: int) -> tuple[int, int, int, int]:
  """Returns how often each of the four products occurs for n outputs."""
  full, rest = divmod(count, 3)
  some = full + (rest > 0)
  return some, full + (rest > 1), full, some


def _append(pieces: list[Arrays], *new: jax.Array | None) -> None:
  for each, x in zip(pieces, new, strict=True):
    if x is not None:
      each.append(x)


def _split(arrays: Sequence[jax.Array], axis: int) -> tuple[Arrays, Arrays]:
  """Splits products into those of whole tiles and those of the rest."""
  full = arrays[2].shape[axis]
  whole = [_cut(array, axis, 0, full) for array in arrays]
  more = [array for array in arrays if array.shape[axis] > full]
  return whole, [_cut(array, axis, full, 1) for array in more]


def _pieces(tiles: int) -> list[tuple[int, int]]:
  """Returns (start, size) of the halves that are computed separately.

  `im2col` joins halves for the same reason.
  """
  half = tiles // 2
  return [(0, half), (half, tiles - half)] if half else [(0, tiles)]


def _cut(
  x: jax.Array, axis: int, start: int, size: int, stride: int = 1
) -> jax.Array:
  stop = start + max(stride * (size - 1) + 1, 0)
  return lax.slice_in_dim(x, start, stop, stride, axis % x.ndim)


def _joined(arrays: Arrays, axis: int) -> jax.Array:
  return jnp.concatenate(arrays, axis) if len(arrays) > 1 else arrays[0]


def _interleaved(lines: Arrays, axis: int) -> jax.Array:
  axis %= lines[0].ndim
  shape = list(lines[0].shape)
  shape[axis] *= len(lines)
  return jnp.stack(lines, axis + 1).reshape(shape)


def _padded(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (before, after, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)

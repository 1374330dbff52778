r"""Filters of two taps by four products for three results, not six.

.. math::
  y_0 &= d_0 g_0 + d_1 g_1 = m_0 + m_1 + m_2, & m_0 &= (d_0 - d_2) g_0 \\
  y_1 &= d_1 g_0 + d_2 g_1 = m_1 - m_2, &
    m_1 &= (d_1 + d_2) (g_0 + g_1) / 2 \\
  y_2 &= d_2 g_0 + d_3 g_1 = m_1 + m_2 + m_3, &
    m_2 &= (d_2 - d_1) (g_0 - g_1) / 2 \\
  & & m_3 &= (d_3 - d_1) g_1

Winograd's F(3, 2) (Arithmetic Complexity of Computations, 1980; for networks
Lavin and Gray, https://arxiv.org/abs/1509.09308), exact but for rounding: no
coefficients but 1, -1 and halves. In two directions sixteen products do the
work of thirty-six. The three factors `d`, `g`, `y` of the form
:math:`\sum y d g` keep their transforms in all of its derivatives.

Results beyond the last three join these products. One is computed as it
stands, by :math:`g_0` and :math:`g_1`; two are F(2, 2):

.. math::
  y_0 = (d_0 - d_1) g_0 + m, \quad y_1 = m + (d_2 - d_1) g_1, \quad
  m = 2 d_1 (g_0 + g_1) / 2

A transform has one array for each product.

Shapes: n results of a direction, n + 1 inputs, t = n // 3 tiles of three.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

Parts = list[jax.Array]


def inputs(d: jax.Array, axis: int) -> Parts:
  """`[n + 1]` of an axis -> the inputs of four products."""
  full, rest = divmod(d.shape[axis] - 1, 3)
  parts: list[Parts] = [[], [], [], []]
  for start, size in _pieces(full):
    a, b, c, e = (_cut(d, axis, 3 * start + i, size, 3) for i in range(4))
    _append(parts, a - c, b + c, c - b, e - b)
  a, *others = (_cut(d, axis, 3 * full + i, 1) for i in range(rest + 1))
  if rest == 1:
    _append(parts, a, None, None, others[0])
  elif rest == 2:
    b, c = others
    _append(parts, a - b, 2 * b, None, c - b)
  return [_joined(part, axis) for part in parts]


def inputs_adjoint(u: Sequence[jax.Array], axis: int) -> jax.Array:
  """The adjoint of `inputs`: back to `[n + 1]`."""
  (a, b, c, e), rests = _split(u, axis)
  full = c.shape[axis]
  # What lies between two tiles belongs to both.
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
  """Four products -> `[n]`."""
  (a, b, c, e), rests = _split(m, axis)
  both = b + c
  tail = []
  if len(rests) == 2:
    tail = [rests[0] + rests[1]]
  elif rests:
    tail = [rests[0] + rests[1], rests[1] + rests[2]]
  return _joined([_interleaved([a + both, b - c, both + e], axis), *tail], axis)


def results_adjoint(y: jax.Array, axis: int) -> Parts:
  """The adjoint of `results`: `[n]` -> four parts."""
  full, rest = divmod(y.shape[axis], 3)
  parts: list[Parts] = [[], [], [], []]
  for start, size in _pieces(full):
    a, b, c = (_cut(y, axis, 3 * start + i, size, 3) for i in range(3))
    _append(parts, a, a + b + c, a - b + c, c)
  others = [_cut(y, axis, 3 * full + i, 1) for i in range(rest)]
  if rest == 1:
    _append(parts, others[0], None, None, others[0])
  elif rest == 2:
    _append(parts, others[0], others[0] + others[1], None, others[1])
  return [_joined(part, axis) for part in parts]


def filters(g: jax.Array, axis: int) -> Parts:
  """Two taps on an axis -> the filters of four products, without it."""
  first, last = (lax.index_in_dim(g, i, axis, False) for i in range(2))
  return [first, 0.5 * (first + last), 0.5 * (first - last), last]


def sizes(count: int) -> tuple[int, int, int, int]:
  """How many of each product there are for n results."""
  full, rest = divmod(count, 3)
  some = full + (rest > 0)
  return some, full + (rest > 1), full, some


def _append(parts: list[Parts], *found: jax.Array | None) -> None:
  for part, x in zip(parts, found, strict=True):
    if x is not None:
      part.append(x)


def _split(parts: Sequence[jax.Array], axis: int) -> tuple[Parts, Parts]:
  """What belongs to tiles of three, and, in order, what is there beyond."""
  full = parts[2].shape[axis]
  whole = [_cut(part, axis, 0, full) for part in parts]
  more = [p for p in parts if p.shape[axis] > full]
  return whole, [_cut(part, axis, full, 1) for part in more]


def _pieces(tiles: int) -> list[tuple[int, int]]:
  """(start, size) of tiles that are computed apart and joined.

  For the same reason as `patches._joined`.
  """
  half = tiles // 2
  return [(0, half), (half, tiles - half)] if half else [(0, tiles)]


def _cut(
  x: jax.Array, axis: int, start: int, size: int, stride: int = 1
) -> jax.Array:
  stop = start + max(stride * (size - 1) + 1, 0)
  return lax.slice_in_dim(x, start, stop, stride, axis % x.ndim)


def _joined(parts: Parts, axis: int) -> jax.Array:
  return jnp.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _interleaved(lines: Parts, axis: int) -> jax.Array:
  axis %= lines[0].ndim
  shape = list(lines[0].shape)
  shape[axis] *= len(lines)
  return jnp.stack(lines, axis + 1).reshape(shape)


def _padded(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (before, after, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)

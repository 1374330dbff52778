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

from coalesce_jax.ops import axes

Arrays = list[jax.Array]


def inputs(d: jax.Array, axis: int) -> Arrays:
  """Transforms n + 1 inputs along an axis to the inputs of the products."""
  full, rest = divmod(d.shape[axis] - 1, 3)
  pieces: list[Arrays] = [[], [], [], []]
  for start, size in axes.halves(full):
    a, b, c, e = (axes.cut(d, axis, 3 * start + i, size, 3) for i in range(4))
    _append(pieces, a - c, b + c, c - b, e - b)
  a, *others = (axes.cut(d, axis, 3 * full + i, 1) for i in range(rest + 1))
  if rest == 1:
    _append(pieces, a, None, None, others[0])
  elif rest == 2:
    b, c = others
    _append(pieces, a - b, 2 * b, None, c - b)
  return [axes.joined(each, axis) for each in pieces]


def inputs_adjoint(u: Sequence[jax.Array], axis: int) -> jax.Array:
  """Computes the adjoint of `inputs`, with n + 1 values along the axis."""
  (a, b, c, e), rests = _split(u, axis)
  full = c.shape[axis]
  # Neighbouring tiles share the input between them.
  before = axes.padded(
    axes.cut(e, axis, 0, max(full - 1, 0)), axis, min(full, 1), 0
  )
  lines = [a + before, b - c - e, b + c - a]
  last = [axes.cut(e, axis, full - 1, 1)] if full else []
  if len(rests) == 2:
    tail = [sum(last, rests[0]), rests[1]]
  elif rests:
    first, middle, end = rests
    tail = [sum(last, first), 2 * middle - first - end, end]
  else:
    tail = last
  return axes.joined([axes.interleaved(lines, axis), *tail], axis)


def results(m: Sequence[jax.Array], axis: int) -> jax.Array:
  """Combines the four products to n outputs along an axis."""
  (a, b, c, e), rests = _split(m, axis)
  both = b + c
  tail = []
  if len(rests) == 2:
    tail = [rests[0] + rests[1]]
  elif rests:
    tail = [rests[0] + rests[1], rests[1] + rests[2]]
  return axes.joined(
    [axes.interleaved([a + both, b - c, both + e], axis), *tail], axis
  )


def results_adjoint(y: jax.Array, axis: int) -> Arrays:
  """Computes the adjoint of `results`, one array for each product."""
  full, rest = divmod(y.shape[axis], 3)
  pieces: list[Arrays] = [[], [], [], []]
  for start, size in axes.halves(full):
    a, b, c = (axes.cut(y, axis, 3 * start + i, size, 3) for i in range(3))
    _append(pieces, a, a + b + c, a - b + c, c)
  others = [axes.cut(y, axis, 3 * full + i, 1) for i in range(rest)]
  if rest == 1:
    _append(pieces, others[0], None, None, others[0])
  elif rest == 2:
    _append(pieces, others[0], others[0] + others[1], None, others[1])
  return [axes.joined(each, axis) for each in pieces]


def filters(g: jax.Array, axis: int) -> Arrays:
  """Transforms the two taps along an axis, which the result lacks."""
  first, last = (lax.index_in_dim(g, i, axis, False) for i in range(2))
  return [first, 0.5 * (first + last), 0.5 * (first - last), last]


def filters_adjoint(u: Sequence[jax.Array], axis: int) -> jax.Array:
  """Computes the adjoint of `filters`, with two taps along a new axis."""
  a, b, c, e = u
  return jnp.stack([a + 0.5 * (b + c), 0.5 * (b - c) + e], axis)


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
  whole = [axes.cut(array, axis, 0, full) for array in arrays]
  more = [array for array in arrays if array.shape[axis] > full]
  return whole, [axes.cut(array, axis, full, 1) for array in more]

r"""Computes m outputs of a filter of r taps with m + r - 1 products, not m r.

.. math::
  y_k = \sum_i d_{k + i} g_i, \qquad
  y = A^T \left( (B^T d) \odot (G g) \right)

These are the algorithms of Toom and Cook, which evaluate polynomials at points,
as Winograd uses them for filters: F(m, r), Lavin and Gray,
https://arxiv.org/abs/1509.09308. Row j of G is
:math:`N_j (1, p_j, p_j^2, \ldots)` at the point :math:`p_j`, and the last row,
of the point at infinity, is :math:`(0, \ldots, 0, 1)`. All derivatives of the
form :math:`\sum y d g` use the same three matrices.

The result is exact up to rounding. With four points (0, 1, -1, infinity) it is
as accurate as the sum itself, with six points (2 and -2 also) it loses about
one decimal digit.

The module `winograd` has two taps with an algorithm for every number of
outputs. Here it is a multiple of m.

A transform returns one array for each product.

Shapes: n outputs along an axis, n + r - 1 inputs, n / m tiles of m outputs.
"""

from collections.abc import Sequence
import dataclasses
import functools

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import axes

Arrays = list[jax.Array]
Matrix = tuple[tuple[float, ...], ...]

# Rows of B^T for the points 0, 1, -1, infinity, and with 2 and -2 too.
_FOUR: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))
_SIX: Matrix = (
  (4, 0, -5, 0, 1, 0),
  (0, -4, -4, 1, 1, 0),
  (0, 4, -4, -1, 1, 0),
  (0, -2, -1, 2, 1, 0),
  (0, 2, -1, -2, 1, 0),
  (0, 4, 0, -5, 0, 1),
)
# Finite points p, and factors N of the rows of G.
_POINTS = {
  4: ((0, 1), (1, 1 / 2), (-1, 1 / 2)),
  6: ((0, 1 / 4), (1, -1 / 6), (-1, -1 / 6), (2, 1 / 24), (-2, 1 / 24)),
}


@dataclasses.dataclass(frozen=True)
class Algorithm:
  """The algorithm F(m, r).

  Attributes:
    outputs: m.
    taps: r; m + r is 5 or 7, and r at most m + 1.
  """

  outputs: int
  taps: int

  @property
  def products(self) -> int:
    """Number of products of a tile."""
    return self.outputs + self.taps - 1

  @functools.cached_property
  def _b(self) -> Matrix:
    return _FOUR if self.products == 4 else _SIX

  @functools.cached_property
  def _g(self) -> Matrix:
    rows = [
      tuple(n * p**i for i in range(self.taps))
      for p, n in _POINTS[self.products]
    ]
    return *rows, (*[0.0] * (self.taps - 1), 1.0)

  @functools.cached_property
  def _a(self) -> Matrix:
    """Rows of A^T."""
    points = [p for p, _ in _POINTS[self.products]]
    last = self.outputs - 1
    return tuple(
      (*[float(p**k) for p in points], float(k == last))
      for k in range(self.outputs)
    )

  def inputs(self, d: jax.Array, axis: int) -> Arrays:
    """Transforms n + r - 1 inputs along an axis to those of the products."""
    m = self.outputs
    pieces: list[Arrays] = [[] for _ in range(self.products)]
    for start, size in axes.halves((d.shape[axis] - self.taps + 1) // m):
      cuts = [
        axes.cut(d, axis, m * start + i, size, m) for i in range(self.products)
      ]
      for piece, row in zip(pieces, self._b, strict=True):
        piece.append(_combined(row, cuts))
    return [axes.joined(piece, axis) for piece in pieces]

  def inputs_adjoint(self, u: Sequence[jax.Array], axis: int) -> jax.Array:
    """Computes the adjoint of `inputs`, with n + r - 1 values on the axis."""
    m, tiles = self.outputs, u[0].shape[axis]
    lines = [
      _combined([row[i] for row in self._b], u) for i in range(self.products)
    ]
    # Neighbouring tiles share r - 1 inputs.
    shared = lines[m:]
    for i, line in enumerate(shared):
      before = axes.cut(line, axis, 0, tiles - 1)
      lines[i] = lines[i] + axes.padded(before, axis, 1, 0)
    ends = [axes.cut(line, axis, tiles - 1, 1) for line in shared]
    return axes.joined([axes.interleaved(lines[:m], axis), *ends], axis)

  def results(self, products: Sequence[jax.Array], axis: int) -> jax.Array:
    """Combines the products to n outputs along an axis."""
    return axes.interleaved([_combined(row, products) for row in self._a], axis)

  def results_adjoint(self, y: jax.Array, axis: int) -> Arrays:
    """Computes the adjoint of `results`, one array for each product."""
    m = self.outputs
    pieces: list[Arrays] = [[] for _ in range(self.products)]
    for start, size in axes.halves(y.shape[axis] // m):
      cuts = [axes.cut(y, axis, m * start + i, size, m) for i in range(m)]
      for j, piece in enumerate(pieces):
        piece.append(_combined([row[j] for row in self._a], cuts))
    return [axes.joined(piece, axis) for piece in pieces]

  def filters(self, g: jax.Array, axis: int) -> Arrays:
    """Transforms the taps along an axis, which the result lacks."""
    taps = [lax.index_in_dim(g, i, axis, False) for i in range(self.taps)]
    return [_combined(row, taps) for row in self._g]

  def filters_adjoint(self, u: Sequence[jax.Array], axis: int) -> jax.Array:
    """Computes the adjoint of `filters`, with r taps along a new axis."""
    return jnp.stack(
      [_combined([row[i] for row in self._g], u) for i in range(self.taps)],
      axis,
    )

  def sizes(self, count: int) -> tuple[int, ...]:
    """Returns how often each product occurs for n outputs."""
    return (count // self.outputs,) * self.products


def _combined(row: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
  """Returns the sum of arrays with these coefficients."""
  total: jax.Array | None = None
  for coefficient, x in zip(row, arrays, strict=True):
    if not coefficient:
      continue
    sign = coefficient < 0 and total is not None
    size = -coefficient if sign else coefficient
    term = x if size == 1.0 else size * x
    if total is None:
      total = term
    else:
      total = total - term if sign else total + term
  assert total is not None
  return total

"""Maps images and output maps to the factors of a convolution's products.

A narrow convolution gathers patches for one product. A wide one spends most of
its time in products; on a CPU it gathers sums of patches for four or sixteen
smaller products, which need fewer multiplications (see `winograd`).

The function `gather` returns the image's factors of these products, either one
matrix for each product or one stack for all products of one size. The kernel's
factors are those of `kernel_factors`. The adjoints of `gather` and `join` are
`scatter` and `spread`.

Shapes: B batch, H, W image, C its channels, H', W' output map, F its channels,
k kernel, s stride, n columns of a product.
"""

from collections.abc import Sequence
import functools
import math

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import adjoints
from coalesce_jax.ops import patch_geometry
from coalesce_jax.ops import stacks


def _joined(x: jax.Array, axis: int) -> jax.Array:
  """Splits an array in two halves and joins them again, without effect.

  If a sum of maps is only read as a matrix, XLA's loop on a CPU runs over that
  matrix. It then divides for every value to find the axes of the map, which is
  2.6 times slower than a loop over the joined halves. The barrier keeps XLA
  from removing the two steps.
  """
  half = x.shape[axis] // 2
  if not half or jax.default_backend() != 'cpu':
    return x
  first = lax.slice_in_dim(x, 0, half, axis=axis)
  rest = lax.slice_in_dim(x, half, None, axis=axis)
  return jnp.concatenate([first, lax.optimization_barrier(rest)], axis)


def _matrix(x: jax.Array) -> jax.Array:
  """Flattens maps `[..., C, h, w, B]` to matrices `[..., C, h w B]`."""
  return x.reshape(*x.shape[:-3], math.prod(x.shape[-3:]))


def _gather_impl(
  images: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Maps images `[..., C, H, W, B]` to factors `[..., s s C, n]`."""
  (x,), s = images, shape.stride
  (*lead, channels), batch = x.shape[:-3], x.shape[-1]
  edges = [(0, 0, 0)] * x.ndim
  edges[-3], edges[-2] = ((*pair, 0) for pair in shape.edges)
  x = lax.pad(x, jnp.zeros((), x.dtype), edges)
  rows, columns = shape.blocks
  x = x.reshape(*lead, channels, rows, s, columns, s, batch)
  x = x.transpose(*range(len(lead)), *(len(lead) + i for i in _TO_BLOCKS))
  height, width = shape.out
  if shape.tiled:
    taps, winograd = len(shape.phases), patch_geometry.products(shape)
    x = x.reshape(*lead, s * s * channels, rows, columns, batch)
    parts = [
      u
      for column in winograd.inputs(x, -2)
      for u in (
        winograd.inputs(column, -3)
        if shape.tiled == 2
        else [
          jnp.concatenate(
            [column[..., i : i + height, :, :] for i in range(taps)], -4
          )
        ]
      )
    ]
    return [_matrix(u) for u in stacks.grouped(parts, shape, len(lead))]
  if s == 1:
    # One direction after the other needs arrays of k parts, not of k^2.
    x = x.reshape(*lead, channels, rows, columns, batch)
    for at, out in ((-2, width), (-3, height)):
      starts = range(len(shape.phases))
      cut = functools.partial(lax.slice_in_dim, x, axis=x.ndim + at)
      x = jnp.concatenate([cut(i, i + out) for i in starts], -4)
    return [_matrix(x)]
  parts = [
    x[..., :m, :n, :, a : a + height, b : b + width, :].reshape(
      *lead, m * n * channels, height, width, batch
    )
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  joined = jnp.concatenate(parts, len(lead)) if len(parts) > 1 else parts[0]
  return [_matrix(joined)]


# The axes (C, row, row phase, column, column phase, B) are reordered to
# (row phase, column phase, C, row, column, B), and back.
_TO_BLOCKS = (2, 4, 0, 1, 3, 5)
_FROM_BLOCKS = (2, 3, 0, 4, 1, 5)


def _scatter_impl(
  products: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Computes the adjoint of `_gather_impl`."""
  lead, s = products[0].shape[: -3 if shape.stacked else -2], shape.stride
  axis = len(lead)
  rows, columns = shape.blocks
  if shape.tiled:
    taps, winograd = len(shape.phases), patch_geometry.products(shape)
    terms = [
      winograd.inputs_adjoint(column, -3)
      if shape.tiled == 2
      else _shifted_sum(jnp.split(column[0], taps, -4), axis + 1, rows)
      for column in _by_columns(products, shape)
    ]
    x = winograd.inputs_adjoint(terms, -2)
    batch, channels = x.shape[-1], x.shape[-4] // s**2
    x = x.reshape(*lead, s, s, channels, rows, columns, batch)
  elif s == 1:
    (x,) = products
    x = x.reshape(*x.shape[:-1], *shape.out, -1)
    for at, size in ((1, rows), (2, columns)):
      x = _shifted_sum(jnp.split(x, shape.kernel, axis), axis + at, size)
    channels, batch = x.shape[axis], x.shape[-1]
    x = x.reshape(*lead, s, s, channels, rows, columns, batch)
  else:
    (p,) = products
    channels = p.shape[-2] // shape.kernel**2
    p = p.reshape(*p.shape[:-1], *shape.out, -1)
    batch, start, lines = p.shape[-1], 0, []
    for m in shape.phases:
      terms = []
      for n in shape.phases:
        stop = start + m * n * channels
        part = lax.slice_in_dim(p, start, stop, axis=axis)
        part = part.reshape(*lead, m, n, channels, *p.shape[-3:])
        terms.append(_padded(_padded(part, axis, 0, s), axis + 1, 0, s))
        start = stop
      # One direction after the other needs sums of two terms, not of four.
      lines.append(_shifted_sum(terms, axis + 4, columns))
    x = _shifted_sum(lines, axis + 3, rows)
  x = x.transpose(*range(axis), *(axis + i for i in _FROM_BLOCKS))
  x = x.reshape(*lead, channels, rows * s, columns * s, batch)
  edges = [(0, 0, 0)] * x.ndim
  edges[-3], edges[-2] = ((-low, -high, 0) for low, high in shape.edges)
  return [lax.pad(x, jnp.zeros((), x.dtype), edges)]


def _join_impl(
  products: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Maps products `[..., F, n]` to output maps `[..., F, H', W', B]`."""
  if not shape.tiled:
    (y,) = products
    return [y.reshape(*y.shape[:-1], *shape.out, -1)]
  winograd = patch_geometry.products(shape)
  terms = [
    winograd.results(column, -3) if shape.tiled == 2 else column[0]
    for column in _by_columns(products, shape)
  ]
  return [winograd.results(terms, -2)]


def _spread_impl(
  maps: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Computes the adjoint of `_join_impl`."""
  (y,) = maps
  if not shape.tiled:
    return [_matrix(_joined(y, y.ndim - 4))]
  winograd = patch_geometry.products(shape)
  parts = [
    v
    for column in winograd.results_adjoint(y, -2)
    for v in (
      winograd.results_adjoint(column, -3) if shape.tiled == 2 else [column]
    )
  ]
  return [_matrix(v) for v in stacks.grouped(parts, shape, y.ndim - 4)]


def _by_columns(
  products: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[list[jax.Array]]:
  """Returns the products as maps, in one list per column of tiles.

  Args:
    products: `[..., C, n]`, or stacks `[..., g, C, n]` of g products.
    shape: the geometry of the convolution.

  Returns:
    Maps `[..., C, h, w, B]`.
  """
  sizes = patch_geometry.product_sizes(shape)
  groups = patch_geometry.product_groups(shape)
  h, w = sizes[groups[0][0]]
  *lead, channels, count = products[0].shape
  if shape.stacked:
    lead = lead[:-1]
  batch = count // (h * w)
  maps = [
    jnp.zeros((*lead, channels, *size, batch))
    if part is None
    else part.reshape(*lead, channels, *size, batch)
    for part, size in zip(
      stacks.separate(products, shape, len(lead)), sizes, strict=True
    )
  ]
  rows = len(sizes) // len(patch_geometry.products(shape).sizes(shape.out[1]))
  return [maps[i : i + rows] for i in range(0, len(maps), rows)]


def _shifted_sum(terms: list[jax.Array], axis: int, size: int) -> jax.Array:
  """Adds terms along an axis of `size` values, the j-th shifted by j."""
  n = terms[0].shape[axis]
  if len(terms) == 2:
    # Separate edges: padding would test for the border at every value.
    a, b = terms
    cut = functools.partial(lax.slice_in_dim, axis=axis)
    middle = cut(a, 1, n) + cut(b, 0, n - 1)
    return jnp.concatenate([cut(a, 0, 1), middle, cut(b, n - 1, n)], axis)
  first, *rest = (_padded(term, axis, j, size) for j, term in enumerate(terms))
  return sum(rest, first)


def _padded(x: jax.Array, axis: int, low: int, size: int) -> jax.Array:
  """Pads an axis with zeros, `low` of them before it, to this size."""
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (low, size - x.shape[axis] - low, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)


# Functions of a list of arrays and a geometry that return a list of arrays.
# Those of one pair are each other's derivative.
gather, scatter = adjoints.adjoint_pair('gather', _gather_impl, _scatter_impl)
join, spread = adjoints.adjoint_pair('join', _join_impl, _spread_impl)

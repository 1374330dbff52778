"""The linear maps of a convolution that have no parameters, and its kernel.

Narrow convolutions gather patches, for one product; wide ones, where products
cost the most, gather sums of patches that need fewer multiplications (`tiles`),
for four or sixteen. What is gathered and what is spread are lists of matrices,
one for each product, or of stacks of them, one for all products of one size;
`flat` gives the kernels of these products.

Shapes: B batch, H, W image, C its channels, H', W' map, F its channels, k
kernel, s stride, n columns of a product.
"""

from collections.abc import Sequence
import functools
import math

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import adjoints
from coalesce_jax.ops import patch_geometry
from coalesce_jax.ops import winograd


def flat(kernel: jax.Array, shape: patch_geometry.Geometry) -> list[jax.Array]:
  """`[k, k, C, F]` as `[.., F]`, one for each part that `gather` gives."""
  s, features = shape.stride, kernel.shape[3]
  if shape.tiled:
    blocks = kernel.reshape(2, s, 2, s, -1, features)
    return _grouped(
      [
        taps.reshape(-1, features)
        for column in winograd.filters(blocks, 2)
        for taps in (
          winograd.filters(column, 0) if shape.tiled == 2 else [column]
        )
      ],
      shape,
      0,
    )
  parts = [
    kernel[s * a : s * a + m, s * b : s * b + n].reshape(-1, features)
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  return [jnp.concatenate(parts) if len(parts) > 1 else parts[0]]


def _joined(x: jax.Array, axis: int) -> jax.Array:
  """The same, as the halves of an axis joined.

  Where a sum of maps is only read as a matrix, XLA's loops on a CPU run over
  the matrix, and divide for every value to find the map's axes: 2.6 times
  slower than a loop over what is joined. The barrier keeps XLA from undoing it.
  """
  half = x.shape[axis] // 2
  if not half or jax.default_backend() != 'cpu':
    return x
  first = lax.slice_in_dim(x, 0, half, axis=axis)
  rest = lax.slice_in_dim(x, half, None, axis=axis)
  return jnp.concatenate([first, lax.optimization_barrier(rest)], axis)


def _matrix(x: jax.Array) -> jax.Array:
  """`[..., C, h, w, B]` -> `[..., C, h w B]`."""
  return x.reshape(*x.shape[:-3], math.prod(x.shape[-3:]))


def _gather_impl(
  images: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """`[..., C, H, W, B]` -> factors of the products, `[..., s s C, n]`."""
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
    x = x.reshape(*lead, s * s * channels, rows, columns, batch)
    parts = [
      u
      for column in winograd.inputs(x, -2)
      for u in (
        winograd.inputs(column, -3)
        if shape.tiled == 2
        else [
          jnp.concatenate(
            [column[..., i : i + height, :, :] for i in (0, 1)], -4
          )
        ]
      )
    ]
    return [_matrix(u) for u in _grouped(parts, shape, len(lead))]
  parts = [
    x[..., :m, :n, :, a : a + height, b : b + width, :].reshape(
      *lead, m * n * channels, height, width, batch
    )
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  joined = jnp.concatenate(parts, len(lead)) if len(parts) > 1 else parts[0]
  return [_matrix(joined)]


# C, row, phase, column, phase, B to phase, phase, C, row, column, B, and back.
_TO_BLOCKS = (2, 4, 0, 1, 3, 5)
_FROM_BLOCKS = (2, 3, 0, 4, 1, 5)


def _scatter_impl(
  products: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """The adjoint of `_gather_impl`."""
  lead, s = products[0].shape[: -3 if shape.stacked else -2], shape.stride
  axis = len(lead)
  rows, columns = shape.blocks
  if shape.tiled:
    terms = [
      winograd.inputs_adjoint(column, -3)
      if shape.tiled == 2
      else _shifted_sum(jnp.split(column[0], 2, -4), axis + 1, rows)
      for column in _by_columns(products, shape)
    ]
    x = winograd.inputs_adjoint(terms, -2)
    batch, channels = x.shape[-1], x.shape[-4] // s**2
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
      # One direction after the other: sums of two, not of four.
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
  """Products `[..., F, n]` -> `[..., F, H', W', B]`."""
  if not shape.tiled:
    (y,) = products
    return [y.reshape(*y.shape[:-1], *shape.out, -1)]
  terms = [
    winograd.results(column, -3) if shape.tiled == 2 else column[0]
    for column in _by_columns(products, shape)
  ]
  return [winograd.results(terms, -2)]


def _spread_impl(
  maps: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """The adjoint of `_join_impl`."""
  (y,) = maps
  if not shape.tiled:
    return [_matrix(_joined(y, y.ndim - 4))]
  parts = [
    v
    for column in winograd.results_adjoint(y, -2)
    for v in (
      winograd.results_adjoint(column, -3) if shape.tiled == 2 else [column]
    )
  ]
  return [_matrix(v) for v in _grouped(parts, shape, y.ndim - 4)]


def _grouped(
  parts: list[jax.Array], shape: patch_geometry.Geometry, axis: int
) -> list[jax.Array]:
  """An array for each group, stacked along an axis, or as it is."""
  return [
    jnp.stack([parts[i] for i in group], axis)
    if shape.stacked
    else parts[group[0]]
    for group in patch_geometry.product_groups(shape)
  ]


def _by_columns(
  products: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[list[jax.Array]]:
  """Groups `[.., (g), C, n]` as maps `[.., C, h, w, B]`, lists by columns."""
  sizes = patch_geometry.product_sizes(shape)
  groups = patch_geometry.product_groups(shape)
  h, w = sizes[groups[0][0]]
  *lead, channels, count = products[0].shape
  if shape.stacked:
    lead = lead[:-1]
  maps = [jnp.zeros((*lead, channels, *s, count // (h * w))) for s in sizes]
  for p, group in zip(products, groups, strict=True):
    for j, i in enumerate(group):
      part = lax.index_in_dim(p, j, len(lead), False) if shape.stacked else p
      maps[i] = part.reshape(maps[i].shape)
  rows = len(sizes) // 4
  return [maps[i : i + rows] for i in range(0, len(maps), rows)]


def _shifted_sum(terms: list[jax.Array], axis: int, size: int) -> jax.Array:
  """The j-th term begins at j; `size` values."""
  n = terms[0].shape[axis]
  if len(terms) == 2:
    # Without a test of borders at every value.
    a, b = terms
    cut = functools.partial(lax.slice_in_dim, axis=axis)
    middle = cut(a, 1, n) + cut(b, 0, n - 1)
    return jnp.concatenate([cut(a, 0, 1), middle, cut(b, n - 1, n)], axis)
  first, *rest = (_padded(term, axis, j, size) for j, term in enumerate(terms))
  return sum(rest, first)


def _padded(x: jax.Array, axis: int, low: int, size: int) -> jax.Array:
  """Zeros before and after, so that the axis has this size."""
  edges = [(0, 0, 0)] * x.ndim
  edges[axis] = (low, size - x.shape[axis] - low, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)


# Lists of arrays and a geometry in, a list out; each other's derivatives.
gather, scatter = adjoints.adjoint_pair('gather', _gather_impl, _scatter_impl)
join, spread = adjoints.adjoint_pair('join', _join_impl, _spread_impl)

"""The linear maps of a convolution that have no parameters, and its kernel.

Narrow convolutions gather patches, for one product; wide ones, where products
cost the most, gather sums of patches that need fewer multiplications (`tiles`),
for four or sixteen. What is gathered and what is spread are lists of matrices,
one for each product, or of stacks of them, one for all products of one size;
`flat` gives the kernels of these products.

Shapes: B batch, H, W image, C its channels, H', W' map, F its channels, k
kernel, s stride, n columns of a product.
"""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import functools
import math
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import adjoints
from coalesce_jax.ops import winograd
from coalesce_jax.parallel import batch_shards


class Geometry(NamedTuple):
  """How patches lie in an image.

  A patch is read from blocks of stride x stride pixels, of which the last ones
  may be read in part: the `[C, H, W, B]` image is a map of blocks
  `[stride, stride, C, rows, columns, B]`, and patches are shifted copies of it.

  Attributes:
    kernel: k.
    stride: the same in both directions.
    edges: zeros before and after the image, by direction, that make whole
      blocks of it; negative ones crop.
    out: (H', W'), number of patches by direction.
    tiled: in how many directions products are saved, columns first: 0, 1, 2.
    stacked: whether products of one size are computed as one.
  """

  kernel: int
  stride: int
  edges: tuple[tuple[int, int], tuple[int, int]]
  out: tuple[int, int]
  tiled: int
  stacked: bool

  @property
  def phases(self) -> tuple[int, ...]:
    """How many pixels of each block of a patch are read, by direction."""
    return tuple(
      min(self.stride, self.kernel - start)
      for start in range(0, self.kernel, self.stride)
    )

  @property
  def blocks(self) -> tuple[int, int]:
    """(rows, columns) of blocks."""
    more = len(self.phases) - 1
    return self.out[0] + more, self.out[1] + more


def geometry(
  image: tuple[int, int],
  kernel: tuple[int, ...],
  stride: int,
  pads: tuple[tuple[int, int], tuple[int, int]],
) -> Geometry:
  """The geometry of a convolution.

  Args:
    image: (H, W).
    kernel: the shape `[k, k, C, F]`.
    stride: the same in both directions.
    pads: zeros before and after, by direction.

  Raises:
    ValueError: the kernel exceeds the padded image.
  """
  size, _, channels, features = kernel
  height, width = (
    (n + low + high - size) // stride + 1
    for n, (low, high) in zip(image, pads, strict=True)
  )
  if min(height, width) < 1:
    raise ValueError(f'kernel {size} exceeds the padded input {image}')
  more = -(-size // stride) - 1
  top, bottom = (
    (low, (out + more) * stride - n - low)
    for n, out, (low, _) in zip(image, (height, width), pads, strict=True)
  )
  narrow = min(stride**2 * channels, 2 * features)
  # Only of two taps of whole blocks can a product be saved; whether that is
  # faster was measured on CPUs.
  able = size == 2 * stride and min(height, width) > 1
  able &= jax.default_backend() == 'cpu' and not _plain.get()
  tiled = sum(narrow >= start for start in _TILED_FROM) if able else 0
  stacked = tiled > 0 and batch_shards.one_core()
  return Geometry(size, stride, (top, bottom), (height, width), tiled, stacked)


_plain: contextvars.ContextVar[bool] = contextvars.ContextVar(
  'plain', default=False
)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """What is traced inside saves no products: programs for any machine."""
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


# From how many rows of a product's narrower factor it is faster to save
# products in one direction, and in two.
_TILED_FROM = (64, 128)


def flat(kernel: jax.Array, shape: Geometry) -> list[jax.Array]:
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
  images: Sequence[jax.Array], shape: Geometry
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
  products: Sequence[jax.Array], shape: Geometry
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
  products: Sequence[jax.Array], shape: Geometry
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


def _spread_impl(maps: Sequence[jax.Array], shape: Geometry) -> list[jax.Array]:
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


def _sizes(shape: Geometry) -> list[tuple[int, int]]:
  """(rows, columns) of every product, by columns."""
  heights = (
    winograd.sizes(shape.out[0]) if shape.tiled == 2 else (shape.out[0],)
  )
  return [(h, w) for w in winograd.sizes(shape.out[1]) for h in heights]


def _groups(shape: Geometry) -> list[list[int]]:
  """Products that are computed as one; those of no values are not.

  XLA computes many products as one faster on one core, but on one core only.
  """
  sizes = _sizes(shape)
  some = [i for i, size in enumerate(sizes) if min(size)]
  if not shape.stacked:
    return [[i] for i in some]
  groups: dict[tuple[int, int], list[int]] = {}
  for i in some:
    groups.setdefault(sizes[i], []).append(i)
  return list(groups.values())


def _grouped(
  parts: list[jax.Array], shape: Geometry, axis: int
) -> list[jax.Array]:
  """An array for each group, stacked along an axis, or as it is."""
  return [
    jnp.stack([parts[i] for i in group], axis)
    if shape.stacked
    else parts[group[0]]
    for group in _groups(shape)
  ]


def _by_columns(
  products: Sequence[jax.Array], shape: Geometry
) -> list[list[jax.Array]]:
  """Groups `[.., (g), C, n]` as maps `[.., C, h, w, B]`, lists by columns."""
  sizes, groups = _sizes(shape), _groups(shape)
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

r"""Convolutions lowered to matrix products.

A convolution is a linear map of the image without parameters, products, and a
linear map of what they give; the transposed convolution is its adjoint. The
two maps, `gather` of the image and `join` of the products, have adjoints of
their own, `scatter` and `spread`:

.. math::
  y = \text{join}(W^T \text{gather}(x)), \qquad
  x = \text{scatter}(W \text{spread}(y))

Narrow convolutions gather patches, for one product; wide ones, where products
cost the most, gather sums of patches that need fewer multiplications (`tiles`).
All are exact. XLA runs its own convolutions several times slower inside
`lax.scan` on a CPU, turns a `vmap` over kernels into a grouped convolution,
and suffers most in the second-order gradients that a gradient penalty takes;
products have none of these faults.

Maps have channels first and the batch last: what moves is then always a run of
at least B values, whatever the number of channels.

Shapes: B batch, H, W image, C input channels, F output channels, k kernel.
"""

from collections.abc import Sequence
import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.networks import linear
from coalesce_jax.networks import precision
from coalesce_jax.networks import tiles

Padding = int | tuple[tuple[int, int], tuple[int, int]]


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
  """

  kernel: int
  stride: int
  edges: tuple[tuple[int, int], tuple[int, int]]
  out: tuple[int, int]
  tiled: int

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


def same_padding(
  size: tuple[int, int], kernel: int, stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
  """The padding of TensorFlow's ``'SAME'`` rule for an image of this size."""
  pads = []
  for n in size:
    total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
    pads.append((total // 2, total - total // 2))
  return pads[0], pads[1]


def conv2d(
  x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = 0
) -> jax.Array:
  """Two-dimensional cross-correlation.

  Args:
    x: `[C, H, W, B]`.
    kernel: square, `[k, k, C, F]`.
    stride: the same in both directions.
    padding: zeros on every side, or (low, high) by direction.

  Returns:
    `[F, H', W', B]`, equal to `lax.conv_general_dilated` (CHWN, HWIO).

  Raises:
    ValueError: the kernel does not fit the input.
  """
  size, _, channels, _ = kernel.shape
  if kernel.shape[1] != size or x.ndim != 4 or x.shape[0] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  shape = _geometry((x.shape[1], x.shape[2]), kernel, stride, padding)
  products = [
    precision.dot(w, part, 0, 0)
    for w, part in zip(_flat(kernel, shape), _gather([x], shape), strict=True)
  ]
  return _join(products, shape)[0]


def conv2d_transpose(
  x: jax.Array,
  kernel: jax.Array,
  *,
  stride: int = 2,
  padding: Padding = 1,
  size: tuple[int, int] | None = None,
) -> jax.Array:
  """Adjoint of `conv2d` with respect to its input.

  Args:
    x: `[C, h, w, B]`.
    kernel: `[k, k, C, F]`; the convolution it is the adjoint of maps F
      channels to C.
    stride: of that convolution.
    padding: of that convolution.
    size: (H, W) of the result; default ``(h - 1) * stride + k - padding``.

  Returns:
    `[F, H, W, B]`, equal to `lax.conv_transpose` with `transpose_kernel=True`
    and the two channel axes of `kernel` swapped.

  Raises:
    ValueError: the kernel does not fit the input, or the size neither.
  """
  k, _, channels, _ = kernel.shape
  if kernel.shape[1] != k or x.ndim != 4 or x.shape[0] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  pads = _pairs(padding)
  if size is None:
    height, width = (
      (n - 1) * stride + k - low - high
      for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
    )
    size = height, width
  shape = _geometry(size, kernel.swapaxes(2, 3), stride, pads)
  if shape.out != x.shape[1:3]:
    raise ValueError(
      f'size {size} has {shape.out} patches, input {x.shape} has another number'
    )
  flat = _flat(kernel.swapaxes(2, 3), shape)
  products = [
    precision.dot(w, part, 1, 0)
    for w, part in zip(flat, _spread([x], shape), strict=True)
  ]
  return _scatter(products, shape)[0]


def _geometry(
  image: tuple[int, int], kernel: jax.Array, stride: int, padding: Padding
) -> Geometry:
  size, _, channels, features = kernel.shape
  pads = _pairs(padding)
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
  # Only of two taps of whole blocks can a product be saved.
  able = size == 2 * stride and min(height, width) > 1
  tiled = sum(narrow >= start for start in _TILED_FROM) if able else 0
  return Geometry(size, stride, (top, bottom), (height, width), tiled)


# From how many rows of a product's narrower factor it is faster to save
# products in one direction, and in two.
_TILED_FROM = (64, 128)


def _pairs(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
  if isinstance(padding, int):
    return (padding, padding), (padding, padding)
  return padding


def _flat(kernel: jax.Array, shape: Geometry) -> list[jax.Array]:
  """`[k, k, C, F]` as `[.., F]`, one for each part that `_gather` gives."""
  s, features = shape.stride, kernel.shape[3]
  if shape.tiled:
    blocks = kernel.reshape(2, s, 2, s, -1, features)
    return [
      taps.reshape(-1, features)
      for column in tiles.filters(blocks, 2)
      for taps in (tiles.filters(column, 0) if shape.tiled == 2 else [column])
    ]
  parts = [
    kernel[s * a : s * a + m, s * b : s * b + n].reshape(-1, features)
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  flat = jnp.concatenate(parts) if len(parts) > 1 else parts[0]
  return [flat]


def _joined(x: jax.Array, axis: int) -> jax.Array:
  """The same, as the halves of an axis joined.

  Where a sum of maps is only read as a matrix, XLA's loops run over the matrix,
  and divide for every value to find the map's axes: 2.6 times slower than a
  loop over what is joined. The barrier keeps XLA from undoing it.
  """
  half = x.shape[axis] // 2
  if not half:
    return x
  first = lax.slice_in_dim(x, 0, half, axis=axis)
  rest = lax.slice_in_dim(x, half, None, axis=axis)
  return jnp.concatenate([first, lax.optimization_barrier(rest)], axis)


def _matrix(x: jax.Array) -> jax.Array:
  """`[..., C, h, w, B]` -> `[..., C, h w B]`."""
  return x.reshape(*x.shape[:-3], -1)


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
    return [
      _matrix(u)
      for column in tiles.inputs(x, -2)
      for u in (
        tiles.inputs(column, -3)
        if shape.tiled == 2
        else [
          jnp.concatenate(
            [column[..., i : i + height, :, :] for i in (0, 1)], -4
          )
        ]
      )
    ]
  parts = [
    x[..., :m, :n, :, a : a + height, b : b + width, :].reshape(
      *lead, m * n * channels, height, width, batch
    )
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  patches = jnp.concatenate(parts, len(lead)) if len(parts) > 1 else parts[0]
  return [_matrix(patches)]


# C, row, phase, column, phase, B to phase, phase, C, row, column, B, and back.
_TO_BLOCKS = (2, 4, 0, 1, 3, 5)
_FROM_BLOCKS = (2, 3, 0, 4, 1, 5)


def _scatter_impl(
  products: Sequence[jax.Array], shape: Geometry
) -> list[jax.Array]:
  """The adjoint of `_gather_impl`."""
  lead, s = products[0].shape[:-2], shape.stride
  axis = len(lead)
  rows, columns = shape.blocks
  if shape.tiled:
    terms = [
      tiles.inputs_adjoint(column, -3)
      if shape.tiled == 2
      else _shifted_sum(jnp.split(column[0], 2, -4), axis + 1, rows)
      for column in _by_columns(products, shape)
    ]
    x = tiles.inputs_adjoint(terms, -2)
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
    tiles.results(column, -3) if shape.tiled == 2 else column[0]
    for column in _by_columns(products, shape)
  ]
  return [tiles.results(terms, -2)]


def _spread_impl(maps: Sequence[jax.Array], shape: Geometry) -> list[jax.Array]:
  """The adjoint of `_join_impl`."""
  (y,) = maps
  if not shape.tiled:
    return [_matrix(_joined(y, y.ndim - 4))]
  return [
    _matrix(v)
    for column in tiles.results_adjoint(y, -2)
    for v in (
      tiles.results_adjoint(column, -3) if shape.tiled == 2 else [column]
    )
  ]


def _by_columns(
  products: Sequence[jax.Array], shape: Geometry
) -> list[list[jax.Array]]:
  """Matrices `[..., n]` as maps `[..., h, w, B]`, in three lists by columns."""
  height, width = shape.out
  heights = tiles.sizes(height) if shape.tiled == 2 else (height,)
  parts = iter(products)
  return [
    [(p := next(parts)).reshape(*p.shape[:-1], h, w, -1) for h in heights]
    for w in tiles.sizes(width)
  ]


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


_gather, _scatter = linear.adjoint_pair('gather', _gather_impl, _scatter_impl)
_join, _spread = linear.adjoint_pair('join', _join_impl, _spread_impl)

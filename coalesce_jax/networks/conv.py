r"""Convolutions lowered to one matrix product each.

A convolution is a gathering of patches, a linear map without parameters, and
one product; the transposed convolution is its adjoint, one product and the
scattering of patches:

.. math::
  y = W^T P x, \qquad x = P^T W y

Both are exact. XLA runs its own convolutions several times slower inside
`lax.scan` on a CPU, turns a `vmap` over kernels into a grouped convolution,
and suffers most in the second-order gradients that a gradient penalty takes;
products have none of these faults.

Maps have channels first and the batch last: what moves is then always a run of
at least B values, whatever the number of channels, and both the patches and
their adjoint are copies and sums of such runs.

Shapes: B batch, H, W image, C input channels, F output channels, k kernel.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from coalesce_jax.networks import precision

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
  """

  kernel: int
  stride: int
  edges: tuple[tuple[int, int], tuple[int, int]]
  out: tuple[int, int]

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
  size, _, channels, features = kernel.shape
  if kernel.shape[1] != size or x.ndim != 4 or x.shape[0] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  shape = _geometry((x.shape[1], x.shape[2]), size, stride, padding)
  patches = _gather(x, shape).reshape(size * size * channels, -1)
  y = precision.dot(_flat(kernel, shape), patches, 0, 0)
  return y.reshape(features, *shape.out, x.shape[3])


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
  k, _, channels, features = kernel.shape
  if kernel.shape[1] != k or x.ndim != 4 or x.shape[0] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  pads = _pairs(padding)
  if size is None:
    height, width = (
      (n - 1) * stride + k - low - high
      for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
    )
    size = height, width
  shape = _geometry(size, k, stride, pads)
  if shape.out != x.shape[1:3]:
    raise ValueError(
      f'size {size} has {shape.out} patches, input {x.shape} has another number'
    )
  flat = _flat(kernel.swapaxes(2, 3), shape)
  patches = precision.dot(flat, x.reshape(channels, -1), 1, 0)
  return _scatter(patches.reshape(-1, *x.shape[1:]), shape)


def _geometry(
  image: tuple[int, int], kernel: int, stride: int, padding: Padding
) -> Geometry:
  pads = _pairs(padding)
  height, width = (
    (n + low + high - kernel) // stride + 1
    for n, (low, high) in zip(image, pads, strict=True)
  )
  if min(height, width) < 1:
    raise ValueError(f'kernel {kernel} exceeds the padded input {image}')
  more = -(-kernel // stride) - 1
  top, bottom = (
    (low, (out + more) * stride - n - low)
    for n, out, (low, _) in zip(image, (height, width), pads, strict=True)
  )
  return Geometry(kernel, stride, (top, bottom), (height, width))


def _pairs(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
  if isinstance(padding, int):
    return (padding, padding), (padding, padding)
  return padding


def _flat(kernel: jax.Array, shape: Geometry) -> jax.Array:
  """`[k, k, C, F]` as `[k k C, F]`, in the order of the patches."""
  s, features = shape.stride, kernel.shape[3]
  parts = [
    kernel[s * a : s * a + m, s * b : s * b + n].reshape(-1, features)
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  return jnp.concatenate(parts) if len(parts) > 1 else parts[0]


def _gather_impl(x: jax.Array, *, shape: Geometry) -> jax.Array:
  """`[..., C, H, W, B]` -> `[..., k k C, H', W', B]`."""
  (*lead, channels), batch, s = x.shape[:-3], x.shape[-1], shape.stride
  edges = [(0, 0, 0)] * x.ndim
  edges[-3], edges[-2] = ((*pair, 0) for pair in shape.edges)
  x = lax.pad(x, jnp.zeros((), x.dtype), edges)
  rows, columns = shape.blocks
  x = x.reshape(*lead, channels, rows, s, columns, s, batch)
  x = x.transpose(*range(len(lead)), *(len(lead) + i for i in _TO_BLOCKS))
  height, width = shape.out
  parts = [
    x[..., :m, :n, :, a : a + height, b : b + width, :].reshape(
      *lead, m * n * channels, height, width, batch
    )
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  return jnp.concatenate(parts, len(lead)) if len(parts) > 1 else parts[0]


# C, row, phase, column, phase, B to phase, phase, C, row, column, B, and back.
_TO_BLOCKS = (2, 4, 0, 1, 3, 5)
_FROM_BLOCKS = (2, 3, 0, 4, 1, 5)


def _scatter_impl(p: jax.Array, *, shape: Geometry) -> jax.Array:
  """`[..., k k C, H', W', B]` -> `[..., C, H, W, B]`, the adjoint."""
  lead, s, batch = p.shape[:-4], shape.stride, p.shape[-1]
  axis, channels = len(lead), p.shape[-4] // shape.kernel**2
  rows, columns = shape.blocks
  start, lines = 0, []
  for m in shape.phases:
    terms = []
    for n in shape.phases:
      stop = start + m * n * channels
      part = lax.slice_in_dim(p, start, stop, axis=axis)
      part = part.reshape(*lead, m, n, channels, *p.shape[-3:])
      terms.append(_padded(_padded(part, axis, 0, s), axis + 1, 0, s))
      start = stop
    # One direction after the other: sums of two, not of four.
    lines.append(_shifted_sum(terms, p.ndim, columns))
  x = _shifted_sum(lines, p.ndim - 1, rows)
  x = x.transpose(*range(axis), *(axis + i for i in _FROM_BLOCKS))
  x = x.reshape(*lead, channels, rows * s, columns * s, batch)
  edges = [(0, 0, 0)] * x.ndim
  edges[-3], edges[-2] = ((-low, -high, 0) for low, high in shape.edges)
  return lax.pad(x, jnp.zeros((), x.dtype), edges)


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


def _primitive(name: str, run: Callable[..., jax.Array]) -> core.Primitive:
  """A linear map of the last four axes, with any number before them."""
  primitive = core.Primitive(name)
  primitive.def_impl(jax.jit(run, static_argnames='shape'))

  def abstract(x: Any, *, shape: Geometry) -> Any:
    out = jax.eval_shape(functools.partial(run, shape=shape), x)
    return jax.core.ShapedArray(out.shape, out.dtype)

  def batch(args: Any, dims: Any, *, shape: Geometry) -> tuple[Any, int]:
    (x,), (axis,) = args, dims
    return primitive.bind(jnp.moveaxis(x, axis, 0), shape=shape), 0

  primitive.def_abstract_eval(abstract)
  mlir.register_lowering(primitive, mlir.lower_fun(run, False))
  batching.primitive_batchers[primitive] = batch
  return primitive


def _adjoint_of(primitive: core.Primitive) -> Callable[..., list[Any]]:
  return lambda y, x, *, shape: [primitive.bind(y, shape=shape)]


# Differentiation would make of the gathering one padded array a tap, and sum
# them all at every pixel; each is the other's adjoint instead.
_GATHER = _primitive('gather_patches', _gather_impl)
_SCATTER = _primitive('scatter_patches', _scatter_impl)
ad.deflinear2(_GATHER, _adjoint_of(_SCATTER))
ad.deflinear2(_SCATTER, _adjoint_of(_GATHER))


def _gather(x: jax.Array, shape: Geometry) -> jax.Array:
  return _GATHER.bind(x, shape=shape)


def _scatter(x: jax.Array, shape: Geometry) -> jax.Array:
  return _SCATTER.bind(x, shape=shape)

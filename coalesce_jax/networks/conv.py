r"""Convolutions lowered to one matrix product each.

A convolution with stride `s` is space-to-depth(s), then shifted slices, then
one product:

.. math:: y_{ij} = [x^{(s)}_{i+a,\,j+b}]_{a,b} \, W

and the transposed convolution is its adjoint: one product, then padded sums,
then depth-to-space. Both are exact. XLA runs its own convolutions several
times slower inside `lax.scan` on a CPU, turns a `vmap` over kernels into a
grouped convolution, and suffers most in the second-order gradients that a
gradient penalty takes; products have none of these faults.

Shapes: B batch, H, W image, C input channels, F output channels, k kernel.
"""

import jax
from jax import lax
import jax.numpy as jnp

Padding = int | tuple[tuple[int, int], tuple[int, int]]


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
    x: `[B, H, W, C]`.
    kernel: square, `[k, k, C, F]`.
    stride: the same in both directions.
    padding: zeros on every side, or (low, high) by direction.

  Returns:
    `[B, H', W', F]`, equal to `lax.conv_general_dilated` (NHWC, HWIO).

  Raises:
    ValueError: the kernel does not fit the input.
  """
  size, _, channels, features = kernel.shape
  if kernel.shape[1] != size or x.ndim != 4 or x.shape[3] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  pads = _pairs(padding)
  out = [
    (n + low + high - size) // stride + 1
    for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
  ]
  if min(out) < 1:
    raise ValueError(f'kernel {size} exceeds the padded input {x.shape}')
  blocks = -(-size // stride)
  rows, columns = (n + blocks - 1 for n in out)
  edges = [
    (low, n * stride - m - low, 0)
    for n, m, (low, _) in zip((rows, columns), x.shape[1:3], pads, strict=True)
  ]
  x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
  if stride > 1:
    x = x.reshape(-1, rows, stride, columns, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, rows, columns, stride * stride * channels)
  patches = [
    x[:, a : a + out[0], b : b + out[1]]
    for a in range(blocks)
    for b in range(blocks)
  ]
  x = jnp.concatenate(patches, -1) if len(patches) > 1 else patches[0]
  return x @ _as_matrix(kernel, blocks, stride).reshape(-1, features)


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
    x: `[B, h, w, C]`.
    kernel: `[k, k, C, F]`; the convolution it is the adjoint of maps F
      channels to C.
    stride: of that convolution.
    padding: of that convolution.
    size: (H, W) of the result; default ``(h - 1) * stride + k - padding``.

  Returns:
    `[B, H, W, F]`, equal to `lax.conv_transpose` with `transpose_kernel=True`
    and the two channel axes of `kernel` swapped.
  """
  pads = _pairs(padding)
  if size is None:
    height, width = (
      (n - 1) * stride + kernel.shape[0] - low - high
      for n, (low, high) in zip(x.shape[1:3], pads, strict=True)
    )
    size = height, width
  shape = (x.shape[0], *size, kernel.shape[3])
  adjoint = jax.linear_transpose(
    lambda y: conv2d(y, kernel.swapaxes(2, 3), stride=stride, padding=pads),
    jax.ShapeDtypeStruct(shape, x.dtype),
  )
  return adjoint(x)[0]


def _pairs(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
  if isinstance(padding, int):
    return (padding, padding), (padding, padding)
  return padding


def _as_matrix(kernel: jax.Array, blocks: int, stride: int) -> jax.Array:
  """`[k, k, C, F]` in the order of the patches, zero-padded to whole blocks."""
  extra = blocks * stride - kernel.shape[0]
  if extra:
    kernel = jnp.pad(kernel, ((0, extra), (0, extra), (0, 0), (0, 0)))
  if stride == 1:
    return kernel
  kernel = kernel.reshape(blocks, stride, blocks, stride, *kernel.shape[2:])
  return kernel.transpose(0, 2, 1, 3, 4, 5)

r"""Convolutions lowered to matrix products.

A convolution is a linear map of the image without parameters, products, and a
linear map of what they give; the transposed convolution is its adjoint. The
two maps, `gather` of the image and `join` of the products, have adjoints of
their own, `scatter` and `spread` (`patches`):

.. math::
  y = \text{join}(W^T \text{gather}(x)), \qquad
  x = \text{scatter}(W \text{spread}(y))

All of it is exact. XLA runs its own convolutions several times slower inside
`lax.scan` on a CPU, turns a `vmap` over kernels into a grouped convolution,
and suffers most in the second-order gradients that a gradient penalty takes;
products have none of these faults.

Maps have channels first and the batch last: what moves is then always a run of
at least B values, whatever the number of channels.

Shapes: B batch, H, W image, C input channels, F output channels, k kernel.
"""

import jax

from coalesce_jax.ops import im2col
from coalesce_jax.ops import patch_geometry
from coalesce_jax.ops import precision

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
  image = x.shape[1], x.shape[2]
  shape = patch_geometry.geometry(image, kernel.shape, stride, _pairs(padding))
  products = [
    precision.dot(w, part, 0, 0)
    for w, part in zip(
      im2col.flat(kernel, shape), im2col.gather([x], shape), strict=True
    )
  ]
  return im2col.join(products, shape)[0]


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
  kernel = kernel.swapaxes(2, 3)
  shape = patch_geometry.geometry(size, kernel.shape, stride, pads)
  if shape.out != x.shape[1:3]:
    raise ValueError(
      f'size {size} has {shape.out} patches, input {x.shape} has another number'
    )
  parts = im2col.spread([x], shape)
  products = [
    precision.dot(w, part, 1, 0)
    for w, part in zip(im2col.flat(kernel, shape), parts, strict=True)
  ]
  return im2col.scatter(products, shape)[0]


def _pairs(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
  if isinstance(padding, int):
    return (padding, padding), (padding, padding)
  return padding

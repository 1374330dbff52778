r"""Computes convolutions as matrix products.

A convolution is a linear map of the image without parameters (`gather`), then
matrix products with the kernel W, then a linear map of the products (`join`).
The transposed convolution is the adjoint: `spread`, products, `scatter`. The
four maps are in `im2col`.

.. math::
  y = \text{join}(W^T \text{gather}(x)), \qquad
  x = \text{scatter}(W \text{spread}(y))

Both are exact up to rounding. Matrix products avoid three faults of XLA's own
convolutions:

* Inside `lax.scan` on a CPU they are several times slower.
* A `vmap` over kernels becomes a slow grouped convolution.
* The second-order gradients of a gradient penalty are slower still.

Maps have the channels first and the batch last, so that every copy moves at
least B contiguous values, whatever the number of channels.

Shapes: B batch, H, W image, C input channels, F output channels, k kernel.
"""

import jax
import jax.numpy as jnp

from coalesce_jax.ops import im2col
from coalesce_jax.ops import kernel_factors
from coalesce_jax.ops import patch_geometry
from coalesce_jax.ops import precision

Padding = int | tuple[tuple[int, int], tuple[int, int]]


def same_padding(
  size: tuple[int, int], kernel: int, stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
  """Returns TensorFlow's ``'SAME'`` padding for an image of this size.

  Args:
    size: (H, W).
    kernel: k.
    stride: the stride in both directions.

  Returns:
    Zeros (before, after) for rows and for columns.
  """
  pads = []
  for n in size:
    total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
    pads.append((total // 2, total - total // 2))
  return pads[0], pads[1]


def conv2d(
  x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: Padding = 0
) -> jax.Array:
  """Computes a two-dimensional cross-correlation.

  Args:
    x: input maps, `[C, H, W, B]`.
    kernel: a square kernel, `[k, k, C, F]`.
    stride: the stride in both directions.
    padding: zeros on every side, or (before, after) for rows and for columns.

  Returns:
    Output maps `[F, H', W', B]`, equal to those of `lax.conv_general_dilated`
    with the layouts CHWN and HWIO.

  Raises:
    ValueError: the kernel does not fit the input.
  """
  size, _, channels, features = kernel.shape
  if kernel.shape[1] != size or x.ndim != 4 or x.shape[0] != channels:
    raise ValueError(f'kernel {kernel.shape} does not fit input {x.shape}')
  image, pads = (x.shape[1], x.shape[2]), _pairs(padding)
  if stride == 1 and features < channels and _within(size, pads):
    # The adjoint form copies k^2 F values of a pixel instead of k^2 C.
    others = tuple((size - 1 - low, size - 1 - high) for low, high in pads)
    return conv2d_transpose(
      x, kernel[::-1, ::-1], stride=1, padding=(others[0], others[1])
    )
  shape = patch_geometry.geometry(image, kernel.shape, stride, pads, x.shape[3])
  products = [
    precision.dot(w, part, 0, 0)
    for w, part in zip(
      kernel_factors.kernel_matrices(kernel, shape),
      im2col.gather([x], shape),
      strict=True,
    )
  ]
  height, width = patch_geometry.patches(image, size, stride, pads)
  return im2col.join(products, shape)[0][:, :height, :width]


def conv2d_transpose(
  x: jax.Array,
  kernel: jax.Array,
  *,
  stride: int = 2,
  padding: Padding = 1,
  size: tuple[int, int] | None = None,
) -> jax.Array:
  """Computes the adjoint of `conv2d` with respect to its input.

  Args:
    x: input maps, `[C, h, w, B]`.
    kernel: `[k, k, C, F]`. The convolution whose adjoint this is maps F
      channels to C channels.
    stride: stride of that convolution.
    padding: padding of that convolution.
    size: (H, W) of the result. None is ``(h - 1) * stride + k - p`` with the p
      zeros of both sides.

  Returns:
    Output maps `[F, H, W, B]`, equal to those of `lax.conv_transpose` with
    `transpose_kernel=True` and the two channel axes of `kernel` swapped.

  Raises:
    ValueError: the kernel or the size does not fit the input.
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
  shape = patch_geometry.geometry(size, kernel.shape, stride, pads, x.shape[3])
  patches = patch_geometry.patches(size, k, stride, pads)
  if patches != x.shape[1:3]:
    raise ValueError(
      f'size {size} has {patches} patches, which do not fit input {x.shape}'
    )
  more = [(0, n - m) for n, m in zip(shape.out, patches, strict=True)]
  parts = im2col.spread([jnp.pad(x, ((0, 0), *more, (0, 0)))], shape)
  products = [
    precision.dot(w, part, 1, 0)
    for w, part in zip(
      kernel_factors.kernel_matrices(kernel, shape), parts, strict=True
    )
  ]
  return im2col.scatter(products, shape)[0]


def _within(size: int, pads: tuple[tuple[int, int], tuple[int, int]]) -> bool:
  """Returns whether every patch reads a pixel of the image."""
  return max(map(max, pads)) < size


def _pairs(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
  if isinstance(padding, int):
    return (padding, padding), (padding, padding)
  return padding

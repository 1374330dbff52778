"""Maps a kernel to the factors of a convolution's products.

They are in the order of `im2col.gather`.

Shapes: k kernel, s stride, C input channels, F output channels.
"""

from collections.abc import Sequence
import math

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import adjoints
from coalesce_jax.ops import axes
from coalesce_jax.ops import patch_geometry
from coalesce_jax.ops import stacks


def kernel_matrices(
  kernel: jax.Array, shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Returns the kernel factor of each product.

  Args:
    kernel: `[k, k, C, F]`.
    shape: the geometry of the convolution.

  Returns:
    Matrices `[rows, F]`, or stacks of them, in the order of `gather`.
  """
  return list(_matrices([kernel], shape))


def _matrices_impl(
  kernels: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Maps kernels `[..., k, k, C, F]` to factors `[..., rows, F]`."""
  (kernel,), s = kernels, shape.stride
  *lead, _, _, channels, features = kernel.shape
  axis = len(lead)
  if shape.tiled:
    taps, winograd = len(shape.phases), patch_geometry.products(shape)
    blocks = kernel.reshape(*lead, taps, s, taps, s, channels, features)
    return stacks.grouped(
      [
        part.reshape(*lead, -1, features)
        for column in winograd.filters(blocks, axis + 2)
        for part in (
          winograd.filters(column, axis) if shape.tiled == 2 else [column]
        )
      ],
      shape,
      axis,
    )
  parts = [
    kernel[..., s * a : s * a + m, s * b : s * b + n, :, :].reshape(
      *lead, -1, features
    )
    for a, m in enumerate(shape.phases)
    for b, n in enumerate(shape.phases)
  ]
  return [axes.joined(parts, axis)]


def _matrices_adjoint(
  matrices: Sequence[jax.Array], shape: patch_geometry.Geometry
) -> list[jax.Array]:
  """Computes the adjoint of `_matrices_impl`."""
  s, k = shape.stride, shape.kernel
  *lead, rows, features = matrices[0].shape
  if shape.tiled:
    taps, winograd = len(shape.phases), patch_geometry.products(shape)
    if shape.stacked:
      lead = lead[:-1]
    axis = len(lead)
    kept = (s, s) if shape.tiled == 2 else (taps, s, s)
    parts = [
      jnp.zeros((*lead, *kept, rows // math.prod(kept), features))
      if part is None
      else part.reshape(*lead, *kept, -1, features)
      for part in stacks.separate(matrices, shape, axis)
    ]
    if shape.tiled == 2:
      count = len(parts) // len(winograd.sizes(shape.out[1]))
      parts = [
        winograd.filters_adjoint(parts[i : i + count], axis)
        for i in range(0, len(parts), count)
      ]
    blocks = winograd.filters_adjoint(parts, axis + 2)
    return [blocks.reshape(*lead, k, k, -1, features)]
  (matrix,), axis = matrices, len(lead)
  channels, start, lines = rows // k**2, 0, []
  for m in shape.phases:
    line = []
    for n in shape.phases:
      stop = start + m * n * channels
      part = lax.slice_in_dim(matrix, start, stop, axis=axis)
      line.append(part.reshape(*lead, m, n, channels, features))
      start = stop
    lines.append(axes.joined(line, axis + 1))
  return [axes.joined(lines, axis)]


_matrices, _ = adjoints.adjoint_pair(
  'kernel_matrices', _matrices_impl, _matrices_adjoint
)

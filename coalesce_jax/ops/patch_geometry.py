"""Computes where the patches of a convolution lie, and which products it needs.

Shapes: B batch, H, W image, H', W' output map, k kernel, C input channels,
F output channels.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import math
from typing import NamedTuple

import jax

from coalesce_jax.ops import winograd
from coalesce_jax.parallel import batch_shards

# Winograd's products are faster in one direction, and in two directions, if the
# narrower factor of a product has at least so many rows. Measured on CPUs.
_TILED_FROM = (64, 128)
# They are slower for few patches of a batch, because then the transforms of the
# kernel take most of the time.
_TILED_PATCHES = (256, 512)

_plain: contextvars.ContextVar[bool] = contextvars.ContextVar(
  'plain', default=False
)


class Geometry(NamedTuple):
  """The positions of patches in an image.

  The image `[C, H, W, B]` is divided into blocks of stride x stride pixels,
  which makes a map `[stride, stride, C, rows, columns, B]`. Patches are shifted
  copies of this map. If the stride does not divide k, only some pixels of the
  last blocks of a patch are read.

  Attributes:
    kernel: k.
    stride: the stride in both directions.
    edges: zeros (before, after) for rows and for columns that pad the image to
      whole blocks; negative numbers crop it.
    out: (H', W'), the number of patches in each direction.
    tiled: number of directions that use Winograd's products (see `winograd`):
      0, 1 (columns) or 2.
    stacked: whether all products of one size are computed as one.
  """

  kernel: int
  stride: int
  edges: tuple[tuple[int, int], tuple[int, int]]
  out: tuple[int, int]
  tiled: int
  stacked: bool

  @property
  def phases(self) -> tuple[int, ...]:
    """Number of pixels that a patch reads from each block along one axis."""
    return tuple(
      min(self.stride, self.kernel - start)
      for start in range(0, self.kernel, self.stride)
    )

  @property
  def blocks(self) -> tuple[int, int]:
    """Number of blocks, (rows, columns)."""
    more = len(self.phases) - 1
    return self.out[0] + more, self.out[1] + more


def geometry(
  image: tuple[int, int],
  kernel: tuple[int, ...],
  stride: int,
  pads: tuple[tuple[int, int], tuple[int, int]],
  batch: int | None = None,
) -> Geometry:
  """Returns the geometry of a convolution.

  Args:
    image: (H, W).
    kernel: the shape (k, k, C, F) of the kernel.
    stride: the stride in both directions.
    pads: zeros (before, after) for rows and for columns.
    batch: B; None counts as a large batch.

  Raises:
    ValueError: the kernel exceeds the padded image.
  """
  size, _, channels, features = kernel
  height, width = (
    (n + low + high - size) // stride + 1
    for n, (low, high) in zip(image, pads, strict=True)
  )
  # Sizes of exported programs may be symbols, which compare with numbers only.
  if height < 1 or width < 1:
    raise ValueError(f'kernel {size} exceeds the padded input {image}')
  more = -(-size // stride) - 1
  top, bottom = (
    (low, (out + more) * stride - n - low)
    for n, out, (low, _) in zip(image, (height, width), pads, strict=True)
  )
  narrow = min(stride**2 * channels, 2 * features)
  # Winograd's products need patches of two whole blocks on an axis.
  able = jax.default_backend() == 'cpu' and not _plain.get()
  able = able and size == 2 * stride and min(height, width) > 1
  tiled = 0
  if able:
    patches = math.inf if batch is None else height * width * batch
    tiled = sum(
      narrow >= start and patches >= least
      for start, least in zip(_TILED_FROM, _TILED_PATCHES, strict=True)
    )
  stacked = tiled > 0 and batch_shards.one_core()
  return Geometry(size, stride, (top, bottom), (height, width), tiled, stacked)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Traces convolutions without Winograd's products.

  Exported programs need this, because they may run on any machine.
  """
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


def product_sizes(shape: Geometry) -> list[tuple[int, int]]:
  """Returns the map size (rows, columns) of every product, column by column."""
  heights = (
    winograd.sizes(shape.out[0]) if shape.tiled == 2 else (shape.out[0],)
  )
  return [(h, w) for w in winograd.sizes(shape.out[1]) for h in heights]


def product_groups(shape: Geometry) -> list[list[int]]:
  """Returns the indices of the products that are computed together.

  Products without values are left out. Stacking products of one size is faster
  on one core only, because XLA does not split a stack over several cores.
  """
  sizes = product_sizes(shape)
  some = [i for i, size in enumerate(sizes) if min(size)]
  if not shape.stacked:
    return [[i] for i in some]
  groups: dict[tuple[int, int], list[int]] = {}
  for i in some:
    groups.setdefault(sizes[i], []).append(i)
  return list(groups.values())

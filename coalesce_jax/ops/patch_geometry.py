"""How the patches of a convolution lie in an image, and its products.

Shapes: H, W image, H', W' map, k kernel, C input channels, F output channels.
"""

from collections.abc import Iterator
import contextlib
import contextvars
from typing import NamedTuple

import jax

from coalesce_jax.ops import winograd
from coalesce_jax.parallel import batch_shards

# From how many rows of a product's narrower factor it is faster to save
# products in one direction, and in two.
_TILED_FROM = (64, 128)

_plain: contextvars.ContextVar[bool] = contextvars.ContextVar(
  'plain', default=False
)


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


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """What is traced inside saves no products: programs for any machine."""
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


def product_sizes(shape: Geometry) -> list[tuple[int, int]]:
  """(rows, columns) of every product, by columns."""
  heights = (
    winograd.sizes(shape.out[0]) if shape.tiled == 2 else (shape.out[0],)
  )
  return [(h, w) for w in winograd.sizes(shape.out[1]) for h in heights]


def product_groups(shape: Geometry) -> list[list[int]]:
  """Products that are computed as one; those of no values are not.

  XLA computes many products as one faster on one core, but on one core only.
  """
  sizes = product_sizes(shape)
  some = [i for i, size in enumerate(sizes) if min(size)]
  if not shape.stacked:
    return [[i] for i in some]
  groups: dict[tuple[int, int], list[int]] = {}
  for i in some:
    groups.setdefault(sizes[i], []).append(i)
  return list(groups.values())

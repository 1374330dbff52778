"""Computes where the patches of a convolution lie, and which products it needs.

Shapes: B batch, H, W image, H', W' output map, k kernel, C input channels,
F output channels.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import math
from typing import Any, NamedTuple

import jax

from coalesce_jax.ops import toom_cook
from coalesce_jax.ops import winograd
from coalesce_jax.parallel import batch_shards

# Winograd's products are faster in one direction, and in two directions, if the
# narrower factor of a product has at least so many rows, for r blocks on each
# axis of a patch. Measured on CPUs.
_TILED_FROM = {2: (64, 128), 3: (128, 128), 4: (64, 64)}
# They are slower for few patches of a batch, because then the transforms of the
# kernel take most of the time.
_TILED_PATCHES = {2: (256, 512), 3: (256, 512), 4: (1024, 1024)}
# Larger tiles of three blocks have a larger transformed kernel, and programs
# that take longer to compile: rows and patches from which they are faster.
_LARGE_TILES = 256, 2048

_plain: contextvars.ContextVar[bool] = contextvars.ContextVar(
  'plain', default=False
)


# Zeros (before, after) for rows and for columns.
Pads = tuple[tuple[int, int], tuple[int, int]]


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
    out: (H', W'), the number of patches in each direction, up to the next whole
      tile.
    tiled: number of directions that use Winograd's products: 0, 1 (columns) or
      2, see `products`.
    tile: m of the algorithm F(m, r) of `toom_cook`; 0 is `winograd`.
    stacked: whether all products of one size are computed as one.
  """

  kernel: int
  stride: int
  edges: tuple[tuple[int, int], tuple[int, int]]
  out: tuple[int, int]
  tiled: int
  tile: int
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


def patches(
  image: tuple[int, int], kernel: int, stride: int, pads: Pads
) -> tuple[int, int]:
  """Returns how many patches an image has in each direction.

  Args:
    image: (H, W).
    kernel: k.
    stride: the stride in both directions.
    pads: zeros (before, after) for rows and for columns.
  """
  height, width = (
    (n + low + high - kernel) // stride + 1
    for n, (low, high) in zip(image, pads, strict=True)
  )
  return height, width


def geometry(
  image: tuple[int, int],
  kernel: tuple[int, ...],
  stride: int,
  pads: Pads,
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
  height, width = patches(image, size, stride, pads)
  # Sizes of exported programs may be symbols, which compare with numbers only.
  if height < 1 or width < 1:
    raise ValueError(f'kernel {size} exceeds the padded input {image}')
  tiled, tile = _tiles((height, width), kernel, stride, batch)
  if tile:
    height, width = (-(-n // tile) * tile for n in (height, width))
  more = -(-size // stride) - 1
  top, bottom = (
    (low, (out + more) * stride - n - low)
    for n, out, (low, _) in zip(image, (height, width), pads, strict=True)
  )
  # One large product of whole tiles; `winograd` has products of unlike sizes,
  # which are faster together on one core only.
  stacked = tiled > 0 and (tile > 0 or batch_shards.one_core())
  return Geometry(
    size, stride, (top, bottom), (height, width), tiled, tile, stacked
  )


def _tiles(
  out: tuple[int, int],
  kernel: tuple[int, ...],
  stride: int,
  batch: int | None,
) -> tuple[int, int]:
  """Returns `tiled` and `tile` of a geometry."""
  size, _, channels, features = kernel
  taps = size // stride
  if jax.default_backend() != 'cpu' or _plain.get():
    return 0, 0
  if size % stride or taps not in _TILED_FROM or min(out) < 2:
    return 0, 0
  narrow = min(stride**2 * channels, 2 * features)
  patches = math.inf if batch is None else out[0] * out[1] * batch
  tiled = sum(
    narrow >= start and patches >= least
    for start, least in zip(
      _TILED_FROM[taps], _TILED_PATCHES[taps], strict=True
    )
  )
  if taps == 2 or not tiled:
    return tiled, 0
  if taps == 4:
    tile = 3
  else:
    large = narrow >= _LARGE_TILES[0] and patches >= _LARGE_TILES[1]
    large = large and not any(n % 4 for n in out)
    tile = 4 if large else 2
  # Outputs that fill the last tile are computed in vain.
  whole = math.prod(-(-n // tile) * tile for n in out)
  return (tiled, tile) if whole <= 1.3 * math.prod(out) else (0, 0)


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


def products(shape: Geometry) -> Any:
  """Returns the transforms of Winograd's products.

  They are the module `winograd` where a patch has two blocks on an axis, and an
  algorithm of `toom_cook` where it has more.
  """
  if not shape.tile:
    return winograd
  return toom_cook.Algorithm(shape.tile, len(shape.phases))


def product_sizes(shape: Geometry) -> list[tuple[int, int]]:
  """Returns the map size (rows, columns) of every product, column by column."""
  sizes = products(shape).sizes
  heights = sizes(shape.out[0]) if shape.tiled == 2 else (shape.out[0],)
  return [(h, w) for w in sizes(shape.out[1]) for h in heights]


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

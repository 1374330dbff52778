"""Translates images that are too large at once, in tiles that overlap.

Where tiles overlap their results are blended: a tile's weight rises linearly
from its edge. Norms take their statistics from a tile instead of the whole
image, so that results differ from those of a network that sees all of it.

Shapes: H, W image.
"""

from collections.abc import Callable

import numpy as np

# Fraction of a tile's side that overlaps the next tile.
OVERLAP = 0.25


def starts(length: int, tile: int) -> list[int]:
  """Returns where tiles begin that cover a side.

  Args:
    length: the side.
    tile: side of a tile.
  """
  if length <= tile:
    return [0]
  step = max(1, int(tile * (1.0 - OVERLAP)))
  count = -(-(length - tile) // step) + 1
  return [round(k * (length - tile) / (count - 1)) for k in range(count)]


def _ramp(size: int, start: int, length: int, overlap: int) -> np.ndarray:
  """Returns the weights along one side of a tile; edges of the image have 1."""
  place = np.arange(size)
  low = np.ones(size) if start == 0 else (place + 1.0) / (overlap + 1.0)
  end = start + size == length
  high = np.ones(size) if end else (size - place) / (overlap + 1.0)
  return np.minimum(1.0, np.minimum(low, high))


def translate(
  image: np.ndarray,
  tile: int,
  apply: Callable[[np.ndarray], np.ndarray],
  progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
  """Translates one image.

  Args:
    image: `[H, W, C]`.
    tile: largest side that is translated at once.
    apply: translates `[1, h, w, C]`.
    progress: ``(tiles done, all tiles)``, called after each tile.

  Returns:
    `[H, W, D]`.
  """
  high, wide = image.shape[:2]
  if max(high, wide) <= tile:
    return np.asarray(apply(image[None]))[0]
  size = min(tile, high), min(tile, wide)
  overlap = int(tile * OVERLAP)
  places = [
    (top, left) for top in starts(high, tile) for left in starts(wide, tile)
  ]
  total, weights = None, np.zeros((high, wide, 1))
  for i, (top, left) in enumerate(places, 1):
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    made = np.asarray(apply(image[None, rows, columns]))[0]
    if total is None:
      total = np.zeros((high, wide, made.shape[-1]))
    weight = (
      _ramp(size[0], top, high, overlap)[:, None, None]
      * _ramp(size[1], left, wide, overlap)[None, :, None]
    )
    total[rows, columns] += weight * made
    weights[rows, columns] += weight
    progress(i, len(places))
  assert total is not None
  return (total / weights).astype(np.float32)

"""Selects images of a data set or of image pairs for a picture.

Shapes: N images, n images shown, H, W, C image.
"""

import numpy as np

from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pairs

# Cells of a sheet: pairs for training and held-out pairs, and pixels of a side.
_TRAIN, _HELD = 24, 12
_SIDE = 128


def spread(images: np.ndarray, count: int) -> np.ndarray:
  """Returns at most `count` images, evenly spread over all, `[n, H, W, C]`."""
  rows = np.linspace(0, len(images) - 1, min(count, len(images)))
  return images[np.round(rows).astype(int)]


def pair_cells(train: pairs.Pairs, held: pairs.Pairs) -> np.ndarray:
  """Returns conditions beside their targets, `[n, H, 2 W, 3]`.

  Pairs for training come first, then held-out ones. Images without pairs stand
  beside any image of the other domain.

  Args:
    train: pairs for training.
    held: held-out pairs.
  """
  size = tuple(min(n, _SIDE) for n in held.target.shape[1:3])
  cells = []
  for half, count in ((train, _TRAIN), (held, _HELD)):
    count = min(count, len(half.condition), len(half.target))
    one, two = (
      np.stack(
        [
          pair_geometry.resized(_coloured(image), (size[0], size[1]))
          for image in spread(images, count)
        ]
      )
      for images in (half.condition, half.target)
    )
    cells.append(np.concatenate([one, two], 2))
  return np.concatenate(cells)


def _coloured(image: np.ndarray) -> np.ndarray:
  """Returns an image as uint8 with three channels, the first of them."""
  if image.dtype != np.uint8:
    image = np.round((image + 1.0) * 127.5).astype(np.uint8)
  if image.shape[2] >= 3:
    return image[..., :3]
  return np.repeat(image[..., :1], 3, -1)

"""Finds pictures without targets, of which a trained network makes some.

Shapes: H, W, C image; uint8 levels 0 to 255.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import decoding
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_layouts
from coalesce_jax.data import pair_settings


class Conditions(NamedTuple):
  """Pictures that are read one at a time.

  Attributes:
    names: paths below the folder, without endings.
    sizes: (H, W) of each file.
    read: ``row -> image``, uint8 `[H, W, C]` at its size for tests; sizes
      differ with preprocess 'none'. It raises a ValueError of one line if the
      file is damaged.
  """

  names: list[str]
  sizes: list[tuple[int, int]]
  read: Callable[[int], np.ndarray]


def find(
  path: str, settings: pair_settings.Settings, least: int = 1
) -> Conditions:
  """Finds conditions alone, of which one at a time is read.

  Only the headers of the files are read here.

  Args:
    path: a folder or a picture, see `pair_layouts.single`.
    settings: geometry and channels.
    least: smallest side of a picture.

  Raises:
    ValueError: there are no pictures, a header cannot be read, a picture is too
      small, or two have one name.
  """
  domain = pair_layouts.single(path)
  headers = [decoding.header(file) for file in domain.paths]
  for file, head in zip(domain.paths, headers, strict=True):
    if min(head.height, head.width) < least:
      raise ValueError(
        f'{files.shown(file)}: {head.height}x{head.width} pixels, at least '
        f'{least} a side are needed; replace it, or leave it out'
      )
  grey = all(head.grey for head in headers)
  channels = settings.condition_channels or (1 if grey else 3)

  def read(row: int) -> np.ndarray:
    image = decoding.decode(domain.paths[row])
    image = pair_geometry.with_channels(image, channels)
    wanted = pair_geometry.size(image.shape[:2], settings, False)
    return pair_geometry.resized(image, wanted)

  sizes = [(head.height, head.width) for head in headers]
  return Conditions(domain.names, sizes, read)

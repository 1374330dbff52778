"""Selects one shape for the pictures of a folder, which may differ in size.

Shapes: H, W, C image.
"""

import collections
import math
import os
import pathlib
import re
from typing import NamedTuple

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import decoding
from coalesce_jax.data import folders

MAX_SIDE = 4096
# Sides of images whose sizes differ, for networks that take any size.
ANY = (8, 16, 28, 32, 64)


class Wanted(NamedTuple):
  """What is known of the shape that images shall have.

  Attributes:
    size: (H, W); None is the own size of the images if all have one that is
      supported. Otherwise it is a square, with the supported side nearest to
      the median of their shorter sides.
    channels: 1 or 3; None is 1 if all images are grey, else 3.
    sides: the sides that the network supports, all squares; () is any shape.
  """

  size: tuple[int, int] | None = None
  channels: int | None = None
  sides: tuple[int, ...] = ()


def parse_size(text: str | None) -> tuple[int, int] | None:
  """Returns (H, W) of '64', a square, or of '64x48'; None of None.

  Raises:
    ValueError: the text is neither, or a side is not in [1, `MAX_SIDE`].
  """
  if text is None:
    return None
  match = re.fullmatch(r'([0-9]{1,5})(?:x([0-9]{1,5}))?', text.strip().lower())
  size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
  if not all(1 <= n <= MAX_SIDE for n in size):
    raise ValueError(
      f'image size {text!r} is neither a side like 64 nor HxW like 64x48, in '
      f'[1, {MAX_SIDE}]'
    )
  return size


def common(
  folder: str | os.PathLike[str], wanted: Wanted
) -> tuple[int, int, int]:
  """Selects the shape (H, W, C) of all pictures in a folder and below it.

  Only the headers of the pictures are read. One line of the log names the shape
  if pictures are converted to it.

  Args:
    folder: a folder, see `folders.find`.
    wanted: what is known of the shape.

  Raises:
    ValueError: there are no pictures, or a header cannot be read.
  """
  name, paths = files.shown(folder), _paths(folder)
  headers = [decoding.header(path) for path in paths]
  sizes = collections.Counter((h.height, h.width) for h in headers)
  channels = wanted.channels or (1 if all(h.grey for h in headers) else 3)
  (own, _), *others = sizes.most_common()
  short = int(np.median([min(h.height, h.width) for h in headers]))
  fits = not wanted.sides or (own[0] == own[1] and own[0] in wanted.sides)
  if wanted.size is not None:
    height, width = wanted.size
  elif not others and fits:
    height, width = own
  else:
    height = width = min(
      wanted.sides or ANY, key=lambda side: abs(math.log(side / short))
    )
  mixed = len({h.grey for h in headers}) > 1
  if others or own != (height, width) or mixed:
    logging.info(
      '%s: %d images of %s (median shorter side %d), %d of them grey, '
      'are cropped and resized to %d x %d with %s',
      name, len(paths), _count(len(sizes), 'size'), short,
      sum(h.grey for h in headers), height, width, _count(channels, 'channel'),
    )  # fmt: skip
  return height, width, channels


def _count(n: int, word: str) -> str:
  return f'{n} {word}' if n == 1 else f'{n} {word}s'


def check(
  name: str, found: tuple[int, ...], wanted: Wanted | tuple[int, ...] | None
) -> None:
  """Checks the shape of images that are not converted.

  Args:
    name: name of the images, for the message.
    found: their (H, W, C).
    wanted: what is known of the shape, the shape, or None.

  Raises:
    ValueError: the shape differs.
  """
  if wanted is None:
    return
  if isinstance(wanted, Wanted):
    height, width = wanted.size or found[:2]
    wanted = (height, width, wanted.channels or found[2])
  if tuple(found) != tuple(wanted):
    raise ValueError(
      f'{name}: images are {tuple(found)}, {tuple(wanted)} is needed; only '
      'folders of pictures are resized'
    )


def _paths(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
  found = folders.find(folder)
  paths = [*found.direct, *(f for each in found.below.values() for f in each)]
  if not paths:
    raise ValueError(f'{files.shown(folder)}: {found.nothing()}')
  return paths

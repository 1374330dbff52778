"""Loads MNIST and USPS digits as two domains without pairs.

No package has USPS. Its files are those of Hastie et al., "The Elements of
Statistical Learning": `zip.train.gz` and `zip.test.gz`, text of one digit a
line, the class and 256 numbers in [-1, 1].

Shapes: N images, S side; uint8 `[N, S, S, 1]`, 0 to 255, white on black.
"""

import gzip
import os
import pathlib
import zlib

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import user_cache
from coalesce_jax.data import datasets
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_packages

TERMS = pair_packages.Terms(
  'not stated', 'MNIST, LeCun et al.; USPS, Hull, and Hastie et al.'
)
FILES = {'train': 'zip.train.gz', 'test': 'zip.test.gz'}
# The larger file has 7,291 digits in 15 MB of text.
MAX_BYTES = 1 << 25
SIDE = 16


def load(
  train_side: int, held_side: int, data_dir: str | None = None
) -> tuple[pair_files.Half, pair_files.Half]:
  """Loads both splits; the test sets of both domains are held out.

  Args:
    train_side: S of images for training.
    held_side: S of images held out.
    data_dir: a folder that is searched first, then its sub-folder `usps`.

  Raises:
    ValueError: files are missing or damaged. The message is one line that says
      what to do.
  """
  folder = _find(data_dir)
  made = []
  for split, side in (('train', train_side), ('test', held_side)):
    usps, classes = read(folder / FILES[split])
    mnist = datasets.load('mnist', split, data_dir)
    condition, target = (
      np.stack([pair_geometry.resized(image, (side, side)) for image in images])
      for images in (mnist.images, usps)
    )
    one, two = (
      [f'{domain}-{split}-{k:05d}' for k in range(len(images))]
      for domain, images in (('mnist', condition), ('usps', target))
    )
    made.append(
      pair_files.Half(
        condition, target, one, two, False, (mnist.labels, classes)
      )
    )
  return made[0], made[1]


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
  """Reads a USPS file: uint8 `[N, 16, 16, 1]` and classes int32 `[N]`.

  Args:
    path: a text file, compressed with gzip.

  Raises:
    ValueError: the file is damaged, too large, or holds something else.
  """
  name = files.shown(path)
  try:
    with gzip.open(path) as file:
      text = file.read(MAX_BYTES + 1)
  except (EOFError, OSError, zlib.error) as error:
    raise ValueError(f'{name}: damaged ({error})') from None
  if len(text) > MAX_BYTES:
    raise ValueError(f'{name}: more than {MAX_BYTES} bytes')
  width = 1 + SIDE * SIDE
  try:
    rows = np.array(text.split(), np.float32)
  except ValueError:
    rows = np.zeros(0, np.float32)
  if not rows.size or rows.size % width or not np.isfinite(rows).all():
    raise ValueError(f'{name}: not lines of {width} numbers')
  rows = rows.reshape(-1, width)
  classes, values = rows[:, 0], rows[:, 1:]
  if np.abs(values).max() > 1.0 or not np.isin(classes, np.arange(10)).all():
    raise ValueError(f'{name}: not a class 0 to 9 and numbers in [-1, 1]')
  levels = np.round((values + 1.0) * 127.5).astype(np.uint8)
  return levels.reshape(-1, SIDE, SIDE, 1), classes.astype(np.int32)


def _find(data_dir: str | None) -> pathlib.Path:
  """Returns the folder with both files of USPS."""
  given = filter(None, (data_dir, os.environ.get('COALESCE_DATA')))
  for place in [*map(pathlib.Path, given), user_cache.folder()]:
    for folder in (place, place / 'usps'):
      if all((folder / file).is_file() for file in FILES.values()):
        return folder
  raise ValueError(
    f'mnist_usps: no {" and ".join(FILES.values())} of USPS found, and no '
    'package has them; put them into a folder and pass it as --data_dir or '
    'COALESCE_DATA'
  )

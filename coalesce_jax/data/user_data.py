"""Loads a user's own images and splits them for training and test.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import NamedTuple

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import file_kinds
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import shapes

SPLITS = ('train', 'test')


class Dataset(NamedTuple):
  """One split of a data set.

  Attributes:
    name: name of the data set.
    images: uint8 `[N, H, W, C]`.
    labels: int32 `[N]`, or None for a user's images without labels.
    origin: the folder, file or package that holds the data.
    classes: label by name of the class, for sub-folders of a user; else empty.
  """

  name: str
  images: np.ndarray
  labels: np.ndarray | None
  origin: str
  classes: Mapping[str, int] = {}


def load(
  path: str,
  splits: Sequence[str],
  image_shape: tuple[int, ...] | shapes.Wanted | None,
) -> list[Dataset]:
  """Loads splits of a folder or array file, which is read once.

  Args:
    path: see `datasets.load`.
    splits: names of the splits.
    image_shape: see `datasets.load`.

  Raises:
    ValueError: see `datasets.load`.
  """
  root, name = pathlib.Path(path), files.shown(path)
  is_folder = file_kinds.is_folder(path)
  shape: tuple[int, ...] | None = None
  if not isinstance(image_shape, shapes.Wanted):
    shape = image_shape
  elif is_folder:
    shape = shapes.common(root, image_shape)
  base = files.shown(root.resolve().name)
  names = classes(path)
  if is_folder and _halves(root):
    loaded = [images_lib.load_folder(root / s, shape, names) for s in splits]
    return [
      Dataset(base, *half, files.shown(root / s), names)
      for s, half in zip(splits, loaded, strict=True)
    ]
  if is_folder:
    array, labels = images_lib.load_folder(root, shape, names)
  else:
    array, labels = images_lib.load(root)
    shapes.check(name, array.shape[1:], image_shape)
  if len(array) < 2:
    raise ValueError(f'{name}: one image cannot be split into {SPLITS}')
  in_test = _in_test(len(array), labels)
  made = []
  for split in splits:
    rows = in_test if split == 'test' else ~in_test
    some = None if labels is None else labels[rows]
    made.append(Dataset(base, array[rows], some, name, names))
  return made


def _in_test(count: int, labels: np.ndarray | None) -> np.ndarray:
  """Returns which images are for test, a fifth of them, `[N]`."""
  order = np.random.default_rng(0).permutation(count)
  if labels is None:
    held = order[: max(1, count // 5)]
  else:
    # Rank 1 of every five, so that a class of two images is in both splits.
    held = order[ranks(labels[order]) % 5 == 1]
    held = held if len(held) else order[:1]
  return np.isin(np.arange(count), held)


def classes(name: str) -> dict[str, int]:
  """Returns the labels of a folder by the names of its sub-folders.

  Args:
    name: path of the folder.

  Returns:
    See `images.class_labels`; empty for an array file.

  Raises:
    ValueError: the folder cannot be read.
  """
  root = pathlib.Path(name)
  if not os.path.isdir(name):
    return {}
  # A class that only one split has must not shift the labels of the other.
  return images_lib.class_labels(*(_halves(root) or [root]))


def check_numbered(name: str) -> None:
  """Checks that the sub-folders of a folder are named by their labels.

  Args:
    name: path of a folder, or of an array file, whose labels are numbers.

  Raises:
    ValueError: a name is no number. Alphabetical numbers of other nodes, which
      have other classes, would mean something else.
  """
  for found, label in classes(name).items():
    if not found.isdigit() or int(found) != label:
      raise ValueError(
        f'{name}: sub-folder {found!r}; labels mean the same at all nodes: '
        'name each sub-folder by the number of its class'
      )


def _halves(root: pathlib.Path) -> list[pathlib.Path]:
  """Returns the folders train and test, or none."""
  halves = [root / split for split in SPLITS]
  return halves if all(half.is_dir() for half in halves) else []


def ranks(labels: np.ndarray) -> np.ndarray:
  """Returns each sample's position among those of its class, `[N] -> [N]`."""
  ranks = np.zeros(len(labels), int)
  for k in np.unique(labels):
    rows = np.flatnonzero(labels == k)
    ranks[rows] = np.arange(len(rows))
  return ranks

"""Loads one split of a named data set or of a user's own images.

Named data sets are searched for in the places of `download.find` and then in
TensorFlow Datasets (TFDS), if that is installed. Their contents are always
compared with known SHA-256 checksums.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable, Mapping
import functools
import hashlib
import json
import os
import pathlib
from typing import NamedTuple

from absl import logging
import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import download
from coalesce_jax.data import file_kinds
from coalesce_jax.data import idx
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import shapes

SPLITS = ('train', 'test')
PACKAGES = download.PACKAGES
NAMES = ('digits', *PACKAGES)
cache_folder = download.cache_folder

# The checksum `contents` of each split.
CONTENTS = {
  ('mnist', 'train'):
    '54e1ab866c9484947dd4821c52bb7a43938f555d6b046be6af55247f8e6ffc64',
  ('mnist', 'test'):
    '97b756d55950f1841ebd48df7379b9b2fc87a10d63e08d6213dad41d564e8508',
  ('fashion_mnist', 'train'):
    'fb88a2f5c1b590c907f860b47803d006e4fa7b276cdb551799af9d443accdff7',
  ('fashion_mnist', 'test'):
    '0b381379398a0943a88bf3864ff3f5177903dcf178030b4b74c495294b38fa7c',
  ('cifar10', 'train'):
    '6a3b2c04d0a79ce272dcdacaf0bc440275db5a8cbe3717521a28fada2ea0d2ed',
  ('cifar10', 'test'):
    '65a6ffe079453e514083f99356b35e02cbfd581b4951e3937fae188974b79f39',
}  # fmt: skip


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
  name: str,
  split: str,
  data_dir: str | None = None,
  image_shape: tuple[int, ...] | shapes.Wanted | None = None,
) -> Dataset:
  """Loads one split.

  A user's folder with sub-folders train and test is split by them. All other
  images of a user are split 80/20 at random with a fixed seed, and class by
  class if there are labels.

  Args:
    name: one of `NAMES`, or the path of a user's folder or array file.
    split: 'train' or 'test'.
    data_dir: a folder that is searched first for named data sets.
    image_shape: (H, W, C), or what is known of it, see `shapes.common`. A
      user's pictures are converted to it, see `images.load`; array files and
      named data sets must have it. None keeps their own shape.

  Raises:
    ValueError: the name or split is unknown, or the data are damaged, missing
      or of another shape. The message is one line that says what to do.
  """
  if split not in SPLITS:
    raise ValueError(f'split {split!r} is not one of {SPLITS}')
  if name not in NAMES:
    if os.sep in name or os.path.exists(name):
      return _of_user(name, split, image_shape)
    raise ValueError(
      f'data set {name!r} is not one of {NAMES}, nor a folder or file'
    )
  data = _digits(split) if name == 'digits' else _of_package(
    name, split, data_dir
  )  # fmt: skip
  shapes.check(name, data.images.shape[1:], image_shape)
  return data


def summary(
  name: str,
  data_dir: str | None = None,
  image_shape: tuple[int, ...] | shapes.Wanted | None = None,
) -> dict[str, object]:
  """Describes a data set by its origin, its shapes and its samples per class.

  Args:
    name: see `load`.
    data_dir: see `load`.
    image_shape: see `load`.

  Returns:
    JSON values. `names` has the label of each class that is named by a folder.
    `sha256_ok` is True for named data sets other than digits,
    which load only with the right checksum, and None for data without one.
  """
  row: dict[str, object] = {'dataset': name}
  for split in SPLITS:
    data = load(name, split, data_dir, image_shape)
    row['origin'] = data.origin
    row['sha256_ok'] = True if name in PACKAGES else None
    described: dict[str, object] = {'shape': list(data.images.shape)}
    if data.labels is not None:
      described['classes'] = np.bincount(data.labels).tolist()
    if data.classes:
      row['names'] = {files.shown(k): v for k, v in data.classes.items()}
    row[split] = described
  return row


def classes(name: str) -> dict[str, int]:
  """Returns the labels of a user's folder by the names of its sub-folders.

  Args:
    name: see `load`.

  Returns:
    See `images.class_labels`; empty for all other data.

  Raises:
    ValueError: the folder cannot be read.
  """
  root = pathlib.Path(name)
  if name in NAMES or not os.path.isdir(name):
    return {}
  # A class that only one split has must not shift the labels of the other.
  return images_lib.class_labels(*(_halves(root) or [root]))


def _halves(root: pathlib.Path) -> list[pathlib.Path]:
  """Returns the folders train and test, or none."""
  halves = [root / split for split in SPLITS]
  return halves if all(half.is_dir() for half in halves) else []


def contents(images: np.ndarray, labels: np.ndarray) -> str:
  """Computes a SHA-256 of images `[N, ...]` and labels, in any order."""
  each = sorted(
    hashlib.sha256(image.tobytes() + bytes([label])).digest()
    for image, label in zip(images, labels, strict=True)
  )
  return hashlib.sha256(b''.join(each)).hexdigest()


def _digits(split: str) -> Dataset:
  """Loads 1,797 digits of 8 x 8 pixels; every fifth of a class is for test."""
  from sklearn import datasets as sklearn_datasets

  bunch = sklearn_datasets.load_digits()
  labels = bunch.target.astype(np.int32)
  array = np.round(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
  rows = (_ranks(labels) % 5 == 4) == (split == 'test')
  return Dataset('digits', array[rows], labels[rows], 'scikit-learn')


def _ranks(labels: np.ndarray) -> np.ndarray:
  """Returns each sample's position among those of its class, `[N] -> [N]`."""
  ranks = np.zeros(len(labels), int)
  for k in np.unique(labels):
    rows = np.flatnonzero(labels == k)
    ranks[rows] = np.arange(len(rows))
  return ranks


def _of_package(name: str, split: str, data_dir: str | None) -> Dataset:
  folder = download.find(name, data_dir)
  if folder is not None:
    array, labels = _READERS[name](folder, split)
    return Dataset(name, array, labels, str(folder))
  found = _from_tfds(name, split)
  if found is None:
    raise ValueError(
      f'{name}: not found; {PACKAGES[name].advice}, then pass the folder as '
      '--data_dir or COALESCE_DATA'
    )
  array, labels = found
  if contents(array, labels) != CONTENTS[name, split]:
    raise ValueError(f'{name}: TFDS has other images or labels than expected')
  # Local samples are selected by row, so results depend on the order.
  logging.warning('%s: taken from TFDS, in its own order', name)
  return Dataset(name, array, labels, 'TFDS')


def _from_tfds(name: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns images and labels in the order of TFDS, or None if it fails."""
  try:
    import tensorflow_datasets as tfds

    data = tfds.as_numpy(tfds.load(name, split=split, batch_size=-1))
  except ImportError:
    return None
  # A failed download raises many types of errors; the data are then missing.
  except Exception as error:
    logging.warning('%s: TFDS failed: %s', name, error)
    return None
  return np.asarray(data['image']), np.asarray(data['label'], np.int32)


def _read_idx(
  folder: pathlib.Path, split: str, suffix: str = ''
) -> tuple[np.ndarray, np.ndarray]:
  prefix = 'train' if split == 'train' else 't10k'
  array = idx.read(folder / f'{prefix}-images-idx3-ubyte{suffix}')
  labels = idx.read(folder / f'{prefix}-labels-idx1-ubyte{suffix}')
  return array[..., None], labels.astype(np.int32)


def _read_cifar10(
  folder: pathlib.Path, split: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads PNG files of 10,000 images each, one after another."""
  names = (
    [f'data_batch_{i}.png' for i in range(1, 6)]
    if split == 'train'
    else ['test_batch.png']
  )
  blocks = []
  for name in names:
    with Image.open(folder / name, formats=('PNG',)) as image:
      pixels = np.asarray(image.convert('RGB'))
    blocks.append(pixels.reshape(10_000, 32, 32, 3))
  labels = json.loads((folder / f'{split}_lables.json').read_text())
  return np.concatenate(blocks), np.asarray(labels, np.int32)


def _of_user(
  path: str,
  split: str,
  image_shape: tuple[int, ...] | shapes.Wanted | None,
) -> Dataset:
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
    array, labels = images_lib.load_folder(root / split, shape, names)
    return Dataset(base, array, labels, files.shown(root / split), names)
  if is_folder:
    array, labels = images_lib.load_folder(root, shape, names)
  else:
    array, labels = images_lib.load(root)
    shapes.check(name, array.shape[1:], image_shape)
  if len(array) < 2:
    raise ValueError(f'{name}: one image cannot be split into {SPLITS}')
  order = np.random.default_rng(0).permutation(len(array))
  if labels is None:
    held = order[: max(1, len(array) // 5)]
  else:
    # Rank 1 of every five, so that a class of two images is in both splits.
    held = order[_ranks(labels[order]) % 5 == 1]
    held = held if len(held) else order[:1]
  in_test = np.isin(np.arange(len(array)), held)
  rows = in_test if split == 'test' else ~in_test
  return Dataset(
    base, array[rows], None if labels is None else labels[rows], name, names
  )


_READERS: dict[str, Callable[[pathlib.Path, str], tuple]] = {
  'mnist': _read_idx,
  'fashion_mnist': functools.partial(_read_idx, suffix='.gz'),
  'cifar10': _read_cifar10,
}

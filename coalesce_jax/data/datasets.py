"""Loads one split of a named data set or of a user's own images.

Named data sets are searched for in the places of `download.find` and then in
TensorFlow Datasets (TFDS), if that is installed. Their contents are always
compared with known SHA-256 checksums.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable, Sequence
import functools
import hashlib
import json
import os
import pathlib

from absl import logging
import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import download
from coalesce_jax.data import idx
from coalesce_jax.data import shapes
from coalesce_jax.data import user_data

SPLITS = user_data.SPLITS
PACKAGES = download.PACKAGES
NAMES = ('digits', *PACKAGES)
Dataset = user_data.Dataset

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
  return _load(name, (split,), data_dir, image_shape)[0]


def both(
  name: str,
  data_dir: str | None = None,
  image_shape: tuple[int, ...] | shapes.Wanted | None = None,
) -> tuple[Dataset, Dataset]:
  """Loads the splits for training and for test, and reads files once.

  Args:
    name: see `load`.
    data_dir: see `load`.
    image_shape: see `load`.

  Raises:
    ValueError: see `load`.
  """
  train, test = _load(name, SPLITS, data_dir, image_shape)
  return train, test


def _load(
  name: str,
  splits: Sequence[str],
  data_dir: str | None,
  image_shape: tuple[int, ...] | shapes.Wanted | None,
) -> list[Dataset]:
  for split in splits:
    if split not in SPLITS:
      raise ValueError(f'split {split!r} is not one of {SPLITS}')
  if name not in NAMES:
    if os.sep in name or os.path.exists(name):
      return user_data.load(name, splits, image_shape)
    raise ValueError(
      f'data set {name!r} is not one of {NAMES}, nor a folder or file'
    )
  if name == 'digits':
    found = [_digits(split) for split in splits]
  else:
    folder = download.find(name, data_dir)
    found = [_of_package(name, split, folder) for split in splits]
  for data in found:
    shapes.check(name, data.images.shape[1:], image_shape)
  return found


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
  halves = both(name, data_dir, image_shape)
  for split, data in zip(SPLITS, halves, strict=True):
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
    name: see `load`. Named data sets have no names of classes.

  Raises:
    ValueError: the folder cannot be read.
  """
  return {} if name in NAMES else user_data.classes(name)


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
  rows = (user_data.ranks(labels) % 5 == 4) == (split == 'test')
  return Dataset('digits', array[rows], labels[rows], 'scikit-learn')


def _of_package(name: str, split: str, folder: pathlib.Path | None) -> Dataset:
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


_READERS: dict[str, Callable[[pathlib.Path, str], tuple]] = {
  'mnist': _read_idx,
  'fashion_mnist': functools.partial(_read_idx, suffix='.gz'),
  'cifar10': _read_cifar10,
}

"""Known data sets and users' own, one split at a time.

Known data are searched for as `download.find` says, then in TFDS where it is
installed; whatever the source, their contents are checked by sha256.

Shapes: N images, H, W, C; uint8 0..255.
"""

from collections.abc import Callable
import functools
import hashlib
import json
import os
import pathlib
from typing import NamedTuple

from absl import logging
import numpy as np
from PIL import Image

from coalesce_jax.data import download
from coalesce_jax.data import idx
from coalesce_jax.data import images as images_lib

SPLITS = ('train', 'test')
PACKAGES = download.PACKAGES
NAMES = ('digits', *PACKAGES)
cache_folder = download.cache_folder

# `contents` of the splits.
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
    name: of the data set.
    images: uint8 `[N, H, W, C]`.
    labels: int32 `[N]`, or None for unlabelled data of a user.
    origin: where it was found.
  """

  name: str
  images: np.ndarray
  labels: np.ndarray | None
  origin: str


def load(
  name: str,
  split: str,
  data_dir: str | None = None,
  image_shape: tuple[int, ...] | None = None,
) -> Dataset:
  """Loads one split.

  Args:
    name: one of `NAMES`, or the path of a user's folder or array file: its
      sub-folders train and test where there, otherwise a fixed 80/20 split,
      class by class where there are labels.
    split: 'train' or 'test'.
    data_dir: a folder that is searched first for known data.
    image_shape: (H, W, C) that a user's images are brought to, see
      `images.load`; known data must have it. None keeps their own.

  Raises:
    ValueError: unknown name or split, damaged data, or nowhere to be found;
      one line that says what to do.
  """
  if split not in SPLITS:
    raise ValueError(f'split {split!r} is not one of {SPLITS}')
  if name not in NAMES:
    if os.sep in name or os.path.exists(name):
      return _of_user(pathlib.Path(name), split, image_shape)
    raise ValueError(
      f'data set {name!r} is not one of {NAMES}, nor a folder or file'
    )
  data = _digits(split) if name == 'digits' else _of_package(
    name, split, data_dir
  )  # fmt: skip
  if image_shape is not None and data.images.shape[1:] != tuple(image_shape):
    raise ValueError(
      f'{name}: images are {data.images.shape[1:]}, {tuple(image_shape)} is '
      'needed'
    )
  return data


def summary(name: str, data_dir: str | None = None) -> dict[str, object]:
  """Where a data set comes from, shapes, samples by class.

  Returns:
    JSON values; `sha256_ok` is True for data whose digests are known (others
    would not have been loaded), None where there is nothing to compare with.
  """
  row: dict[str, object] = {'dataset': name}
  for split in SPLITS:
    data = load(name, split, data_dir)
    row['origin'] = data.origin
    row['sha256_ok'] = True if name in PACKAGES else None
    part: dict[str, object] = {'shape': list(data.images.shape)}
    if data.labels is not None:
      part['classes'] = np.bincount(data.labels).tolist()
    row[split] = part
  return row


def contents(images: np.ndarray, labels: np.ndarray) -> str:
  """Digest of labelled images `[N, ...]`, whatever their order."""
  each = sorted(
    hashlib.sha256(image.tobytes() + bytes([label])).digest()
    for image, label in zip(images, labels, strict=True)
  )
  return hashlib.sha256(b''.join(each)).hexdigest()


def _digits(split: str) -> Dataset:
  """1,797 handwritten digits of 8x8 pixels, every fifth of a class for test."""
  from sklearn import datasets as sklearn_datasets

  bunch = sklearn_datasets.load_digits()
  labels = bunch.target.astype(np.int32)
  array = np.round(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
  rows = (_ranks(labels) % 5 == 4) == (split == 'test')
  return Dataset('digits', array[rows], labels[rows], 'scikit-learn')


def _ranks(labels: np.ndarray) -> np.ndarray:
  """Position of every sample among those of its class, `[N] -> [N]`."""
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
      f'{name}: not found; {PACKAGES[name].advice}, then name the folder with '
      '--data_dir or COALESCE_DATA'
    )
  array, labels = found
  if contents(array, labels) != CONTENTS[name, split]:
    raise ValueError(f'{name}: TFDS holds other images or labels')
  # Few local samples are drawn by row, so the order is part of a result.
  logging.warning('%s: taken from TFDS, in its own order', name)
  return Dataset(name, array, labels, 'TFDS')


def _from_tfds(name: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
  """Images and labels in the order of TFDS, or None where it fails."""
  try:
    import tensorflow_datasets as tfds

    data = tfds.as_numpy(tfds.load(name, split=split, batch_size=-1))
  except ImportError:
    return None
  # A failed download is as good as no TFDS, and comes in many kinds.
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
  """Each PNG holds 10,000 images, one after another along its pixels."""
  names = (
    [f'data_batch_{i}.png' for i in range(1, 6)]
    if split == 'train'
    else ['test_batch.png']
  )
  parts = []
  for name in names:
    with Image.open(folder / name, formats=('PNG',)) as image:
      pixels = np.asarray(image.convert('RGB'))
    parts.append(pixels.reshape(10_000, 32, 32, 3))
  labels = json.loads((folder / f'{split}_lables.json').read_text())
  return np.concatenate(parts), np.asarray(labels, np.int32)


def _of_user(
  path: pathlib.Path, split: str, image_shape: tuple[int, ...] | None
) -> Dataset:
  name = path.resolve().name
  parts = [path / s for s in SPLITS]
  if all(part.is_dir() for part in parts):
    # A class that only one of the two has must not shift the other's labels.
    classes = images_lib.class_labels(*parts)
    array, labels = images_lib.load_folder(path / split, image_shape, classes)
    return Dataset(name, array, labels, str(path / split))
  array, labels = images_lib.load(path, image_shape)
  if len(array) < 2:
    raise ValueError(f'{path}: one image cannot be split into {SPLITS}')
  order = np.random.default_rng(0).permutation(len(array))
  if labels is None:
    held = order[: max(1, len(array) // 5)]
  else:
    # The second, seventh, ...: also a class of two images is in both splits.
    held = order[_ranks(labels[order]) % 5 == 1]
    held = held if len(held) else order[:1]
  in_test = np.isin(np.arange(len(array)), held)
  rows = in_test if split == 'test' else ~in_test
  return Dataset(
    name, array[rows], None if labels is None else labels[rows], str(path)
  )


_READERS: dict[str, Callable[[pathlib.Path, str], tuple]] = {
  'mnist': _read_idx,
  'fashion_mnist': functools.partial(_read_idx, suffix='.gz'),
  'cifar10': _read_cifar10,
}

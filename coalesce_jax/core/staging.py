"""Writes many files into a folder: all of them, or the folder is not changed.

Each file goes to a hidden folder on the same disk first, one after the other,
so that memory holds one of them. At the end they move to their places.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.core import write_errors

# ``(path within the folder, bytes) -> None``.
Put = Callable[[str, bytes], None]


@contextlib.contextmanager
def folder(path: str | os.PathLike[str]) -> Iterator[Put]:
  """Yields a function that writes a file, and moves all files at the end.

  A folder that does not exist appears with all its files at once. In one that
  exists they replace those of the same names, and other files stay. After an
  exception within the `with` statement nothing is changed. What processes left
  that were killed there is removed.

  Args:
    path: the folder. Missing folders above it are created at the end.

  Raises:
    WriteError: a file cannot be written.
  """
  target = pathlib.Path(os.path.realpath(path))
  # There the files are on the disk where they shall be.
  place = next(p for p in (target, *target.parents) if p.exists())
  with write_errors.writing(path):
    _remove_leftovers(place, target.name)
    hidden, lock = _made(place, target.name)

  def put(name: str, data: bytes) -> None:
    file = hidden / name
    with write_errors.writing(os.path.join(path, name)):
      file.parent.mkdir(parents=True, exist_ok=True)
      with open(file, 'wb') as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())

  try:
    yield put
    with write_errors.writing(path):
      _move(hidden, target)
  finally:
    shutil.rmtree(hidden, ignore_errors=True)
    if lock is not None:
      os.close(lock)


def _move(hidden: pathlib.Path, target: pathlib.Path) -> None:
  if not target.exists():
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden.rename(target)
    return
  for file in sorted(p for p in hidden.rglob('*') if p.is_file()):
    # A link keeps pointing to the file that is replaced.
    place = os.path.realpath(target / file.relative_to(hidden))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    try:
      os.replace(file, place)
    except OSError as error:
      if error.errno != errno.EXDEV:
        raise
      files.write_bytes(place, file.read_bytes())


def _made(place: pathlib.Path, name: str) -> tuple[pathlib.Path, int | None]:
  """Makes a hidden folder; returns it with its lock, if there are locks."""
  while True:
    hidden = place / f'.{name[:40]}.{secrets.token_hex(8)}.tmp'
    hidden.mkdir()
    lock = _locked(hidden)
    # Another process may have taken it for a leftover meanwhile.
    if hidden.exists():
      return hidden, lock
    if lock is not None:
      os.close(lock)


def _remove_leftovers(place: pathlib.Path, name: str) -> None:
  """Removes hidden folders of processes that were killed."""
  wanted = re.compile(re.escape(f'.{name[:40]}.') + r'[0-9a-f]{16}\.tmp')
  for entry in place.iterdir():
    if wanted.fullmatch(entry.name) and entry.is_dir():
      lock = _locked(entry)
      # A folder that is written to is locked. What cannot be locked stays.
      if lock is not None:
        shutil.rmtree(entry, ignore_errors=True)
        os.close(lock)


def _locked(path: pathlib.Path) -> int | None:
  """Returns the descriptor of a folder after locking it, or None."""
  try:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
  except OSError:
    return None
  with contextlib.suppress(OSError):
    if locks.attempt(descriptor):
      return descriptor
  os.close(descriptor)
  return None

"""Locks of families, so that two processes do not add to one file."""

from collections.abc import Iterator
import contextlib
import os
import pathlib

from coalesce_jax.core import files
from coalesce_jax.core import locks


@contextlib.contextmanager
def locked(
  path: str | os.PathLike[str], *, wait: bool = False
) -> Iterator[None]:
  """Keeps other processes from adding to a file for a while.

  Args:
    path: path of the family, which need not exist yet.
    wait: whether to wait for a process that adds to it.

  Raises:
    ValueError: another process adds to it, or its folder cannot be written to.
  """
  target = pathlib.Path(os.path.realpath(path))
  if not target.parent.is_dir():
    files.check_writable(target.parent)
  lock = target.with_name(f'.{target.name}.lock')
  try:
    release = locks.acquire(lock, os.fspath(path), wait=wait)
  except OSError as error:
    raise ValueError(
      f'{files.shown(path)}: its folder cannot be written to ({error.strerror})'
    ) from None
  try:
    yield
  finally:
    release()

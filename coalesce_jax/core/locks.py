"""Locks between processes, which the kernel releases when a process ends.

A lock is a `flock` on a small file. It cannot be left behind by a process that
was killed. A file system without locks gives a warning and no protection.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import functools
import os
import pathlib
import socket
import threading
import time

from absl import logging

try:
  import fcntl
except ImportError:  # Not on Windows.
  fcntl = None  # type: ignore[assignment]

_BUSY = (errno.EAGAIN, errno.EACCES)
_SECONDS = 0.1


class Held(ValueError):
  """Another process holds the lock; one line says which."""


class _Entry:
  """A lock that this process holds, and how often."""

  def __init__(self, descriptor: int, shared: bool):
    self.descriptor, self.shared, self.count = descriptor, shared, 1
    self.process = os.getpid()


# Locks of this process by the path of the file: `flock` would refuse a second
# descriptor of the same process, too.
_entries: dict[str, _Entry] = {}
_guard = threading.RLock()


def acquire(
  path: str | os.PathLike[str],
  busy: str,
  *,
  shared: bool = False,
  wait: bool = False,
) -> Callable[[], None]:
  """Takes a lock that other processes respect.

  The same process may take a lock more than once, and must then release it as
  often. Otherwise the kernel releases it when the process ends.

  Args:
    path: the file of the lock, in a folder that exists.
    busy: what the message says is in use.
    shared: whether other processes may hold it at the same time, shared too.
    wait: whether to wait for other processes instead of raising an error.

  Returns:
    A function that releases the lock. Further calls of it do nothing.

  Raises:
    Held: another process holds it.
    OSError: the file cannot be made.
  """
  name = os.path.realpath(path)
  told = False
  while True:
    with _guard:
      entry = _take(name, shared)
    if entry is not None:
      return _once(functools.partial(_release, name, entry))
    text = f'{busy} is in use by {_holder(name)}'
    if not wait:
      raise Held(f'{text}; wait until it ends, or stop it')
    if not told:
      logging.info('%s: waiting', text)
      told = True
    time.sleep(_SECONDS)


@contextlib.contextmanager
def holding(
  path: str | os.PathLike[str], busy: str, *, wait: bool = False
) -> Iterator[None]:
  """Holds a lock for a while; see `acquire`."""
  release = acquire(path, busy, wait=wait)
  try:
    yield
  finally:
    release()


def attempt(descriptor: int, *, shared: bool = False) -> bool:
  """Locks an open file until it is closed, if nobody else holds its lock.

  Raises:
    OSError: the file system has no locks.
  """
  if fcntl is None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
  kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
  try:
    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in _BUSY:
      return False
    raise
  return True


def _take(name: str, shared: bool) -> _Entry | None:
  """Returns the lock, or None where another process holds it."""
  entry = _entries.get(name)
  if entry is not None and not _alive(name, entry):
    del _entries[name]
    if entry.process == os.getpid():
      os.close(entry.descriptor)
    entry = None
  if entry is not None:
    if entry.shared and not shared:
      if not attempt(entry.descriptor):
        # A failed change may have lost the lock that there was.
        attempt(entry.descriptor, shared=True)
        return None
      entry.shared = False
    entry.count += 1
    return entry
  descriptor = _opened(name)
  try:
    free = attempt(descriptor, shared=shared)
  except OSError as error:
    logging.warning(
      '%s: no lock on this file system (%s): two processes at a time would '
      'damage each other', name, error.strerror,
    )  # fmt: skip
    free = True
  if not free:
    os.close(descriptor)
    return None
  entry = _Entry(descriptor, shared)
  if not _alive(name, entry):
    # It was removed between opening and locking.
    os.close(descriptor)
    return _take(name, shared)
  # Only information for others, which a full disk may not take.
  with contextlib.suppress(OSError):
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f'{os.getpid()} {socket.gethostname()}\n'.encode(), 0)
  _entries[name] = entry
  return entry


def _opened(name: str) -> int:
  flags = os.O_CREAT | os.O_CLOEXEC
  try:
    return os.open(name, os.O_RDWR | flags, 0o666)
  except PermissionError:
    # It is of another user, who may read it only.
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC)


def _alive(name: str, entry: _Entry) -> bool:
  """Whether an entry is of this process, and its file still has the name."""
  if entry.process != os.getpid():
    return False
  try:
    return os.path.samestat(os.fstat(entry.descriptor), os.stat(name))
  except OSError:
    return False


def _release(name: str, entry: _Entry) -> None:
  with _guard:
    if entry.process != os.getpid():
      return
    entry.count -= 1
    if entry.count or _entries.get(name) is not entry:
      return
    del _entries[name]
    if not entry.shared:
      # While it is held, so that nobody else holds what is removed.
      with contextlib.suppress(OSError):
        os.unlink(name)
    os.close(entry.descriptor)


def _once(function: Callable[[], None]) -> Callable[[], None]:
  left = [function]

  def call() -> None:
    if left:
      left.pop()()

  return call


def _holder(name: str) -> str:
  """Describes the process that holds a lock, as far as its file says."""
  try:
    process, host = pathlib.Path(name).read_text(errors='replace').split()
  except (OSError, ValueError):
    return 'another process'
  return f'process {int(process)} on {host}' if process.isdigit() else (
    'another process'
  )  # fmt: skip

"""Writes files atomically and computes their checksums."""

from collections.abc import Iterable, Mapping
import contextlib
import errno
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import stat
import tempfile
from typing import Any

from coalesce_jax.core import locks
from coalesce_jax.core import write_errors

# Names of the temporary files of `write_bytes`: `.NAME.TOKEN.tmp`.
_TEMPORARY = re.compile(r'\..*\.[0-9a-f]{16}\.tmp')
# Names of the open files of this process.
_DESCRIPTORS = re.compile(r'/(?:dev|proc/self)/fd/(\d+)')
_STREAMS = {'/dev/stdin': 0, '/dev/stdout': 1, '/dev/stderr': 2}


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
  """Writes a file atomically: the file holds all of `data` or is not changed.

  The bytes go to a temporary file in the same folder, which then replaces the
  file. Missing parent folders are created. A new file gets the permissions that
  the umask allows, an existing file keeps its own. A link stays, and the file
  that it names is replaced. Devices, pipes and open files of this process, such
  as `/dev/stdout`, are written to directly.

  Raises:
    WriteError: the file cannot be written.
  """
  write_all({path: data})


def write_all(contents: Mapping[str | os.PathLike[str], bytes]) -> None:
  """Writes several files, as `write_bytes`; none is changed if one fails.

  Args:
    contents: bytes by path.

  Raises:
    WriteError: a file cannot be written.
  """
  with contextlib.ExitStack() as stack:
    ready = []
    for path, data in contents.items():
      with write_errors.writing(path):
        if not _written_directly(os.fspath(path), data):
          ready.append((path, *_prepared(path, data, stack)))
    for path, temporary, target in ready:
      with write_errors.writing(path):
        os.replace(temporary, target)


def _prepared(
  path: str | os.PathLike[str], data: bytes, stack: contextlib.ExitStack
) -> tuple[pathlib.Path, pathlib.Path]:
  """Writes a temporary file beside its target; returns the paths of both."""
  # A link keeps pointing to the file that is replaced.
  target = pathlib.Path(os.path.realpath(path))
  if target.is_dir():
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
  target.parent.mkdir(parents=True, exist_ok=True)
  mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
  temporary, descriptor = _temporary(target, mode)
  stack.callback(temporary.unlink, missing_ok=True)
  # It stays open, and locked, until it has replaced the target.
  file = stack.enter_context(os.fdopen(descriptor, 'wb', buffering=0))
  _write(file, data)
  if mode is not None:
    # Some file systems have no permissions to keep.
    with contextlib.suppress(PermissionError):
      os.fchmod(descriptor, mode)
  os.fsync(descriptor)
  return temporary, target


def _written_directly(path: str, data: bytes) -> bool:
  """Writes to what cannot be replaced; returns False for a regular file."""
  descriptor = _STREAMS.get(path)
  named = _DESCRIPTORS.fullmatch(path)
  if named:
    descriptor = int(named[1])
  if descriptor is not None:
    # Its position is shared, so that later output follows.
    with os.fdopen(os.dup(descriptor), 'wb') as file:
      file.write(data)
    return True
  try:
    mode = os.stat(path).st_mode
  except (FileNotFoundError, NotADirectoryError):
    return False
  if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
    return False
  with open(path, 'wb') as file:
    file.write(data)
  return True


def _temporary(
  target: pathlib.Path, mode: int | None
) -> tuple[pathlib.Path, int]:
  """Creates a locked file beside another one: its path and descriptor."""
  while True:
    name = f'.{target.name[:40]}.{secrets.token_hex(8)}.tmp'
    path = target.with_name(name)
    # What replaces a private file is never open to others.
    descriptor = os.open(
      path,
      os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
      0o666 if mode is None else 0o600,
    )
    try:
      mine = locks.attempt(descriptor)
    except OSError:
      mine = True
    # Another process may have taken it for a leftover meanwhile.
    if mine and os.fstat(descriptor).st_nlink:
      return path, descriptor
    os.close(descriptor)


def remove_leftovers(folder: pathlib.Path) -> None:
  """Removes temporary files of processes that were killed while writing."""
  for path in folder.iterdir():
    if not _TEMPORARY.fullmatch(path.name):
      continue
    # A file that is being written is locked. What cannot be locked stays.
    with contextlib.suppress(OSError):
      with open(path, 'rb+') as file:
        if locks.attempt(file.fileno()):
          path.unlink()


def _write(file: io.RawIOBase, data: bytes) -> None:
  """Writes all bytes to a file without a buffer, which may take fewer."""
  rest = memoryview(data)
  while rest:
    rest = rest[file.write(rest) :]


def append(path: str | os.PathLike[str], data: bytes) -> None:
  """Appends bytes to a file: all of them, or the file is not changed.

  Raises:
    WriteError: the file cannot be written.
  """
  with write_errors.writing(path), open(path, 'ab', buffering=0) as file:
    size = file.tell()
    try:
      _write(file, data)
    except BaseException:
      with contextlib.suppress(OSError):
        file.truncate(size)
      raise


def check_space(path: str | os.PathLike[str], size: int) -> None:
  """Checks that a file of `size` bytes could be written; leaves no file.

  Raises:
    WriteError: it cannot be written.
  """
  path = pathlib.Path(path)
  with write_errors.writing(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, descriptor = _temporary(path, None)
    try:
      if hasattr(os, 'posix_fallocate') and size:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
      # Some file systems cannot tell.
      if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return
      raise
    finally:
      os.close(descriptor)
      temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes indented JSON atomically; keys keep their order."""
  write_bytes(path, (json.dumps(value, indent=2) + '\n').encode())


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
  """Reads a file that holds one JSON object.

  Raises:
    ValueError: it is missing, damaged, or holds something else; one line.
  """
  try:
    value = json.loads(pathlib.Path(path).read_bytes())
  except OSError as error:
    raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
  except (ValueError, RecursionError):
    raise ValueError(f'{path}: damaged, no JSON inside') from None
  if not isinstance(value, dict):
    raise ValueError(f'{path}: damaged, it holds no JSON object')
  return value


def sha256(path: str | os.PathLike[str]) -> str:
  """Returns the hexadecimal SHA-256 of a file, which is read in blocks."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def digest(chunks: Iterable[Any]) -> str:
  """Returns the hexadecimal SHA-256 of the concatenated byte strings."""
  total = hashlib.sha256()
  for chunk in chunks:
    total.update(chunk)
  return total.hexdigest()


def check_writable(folder: str | os.PathLike[str]) -> pathlib.Path:
  """Creates a folder if needed and checks that files can be written to it.

  What processes left that were killed while they wrote there is removed.

  Returns:
    The folder.

  Raises:
    ValueError: the folder cannot be created or written to. The message is one
      line with the cause.
  """
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix='.probe'):
      pass
    remove_leftovers(folder)
  except OSError as error:
    raise ValueError(
      f'{folder}: not a writable folder ({error.strerror})'
    ) from None
  return folder


def shown(path: str | os.PathLike[str]) -> str:
  """Returns a path for a message of one line.

  Line ends, other unprintable characters and bytes that are not UTF-8 become
  escapes.
  """
  return ''.join(
    c if c.isprintable() else repr(c)[1:-1] for c in os.fspath(path)
  )

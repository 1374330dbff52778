"""Writes files atomically and computes their checksums."""

from collections.abc import Iterable
import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
  """Writes a file atomically: the file holds all of `data` or is not changed.

  The bytes go to a temporary file in the same folder, which then replaces the
  file. Missing parent folders are created.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, temporary = tempfile.mkstemp(
    prefix=f'.{path.name}.', suffix='.tmp', dir=path.parent
  )
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
  except BaseException:
    pathlib.Path(temporary).unlink(missing_ok=True)
    raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes indented JSON atomically; keys keep their order."""
  write_bytes(path, (json.dumps(value, indent=2) + '\n').encode())


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

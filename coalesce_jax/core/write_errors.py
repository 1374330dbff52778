"""Errors of writing files, in one line that says what to do."""

from collections.abc import Iterator
import contextlib
import errno
import os

# What to do about errors of the system.
_ADVICE = {
  errno.ENOSPC: 'free space and run the same command again',
  errno.EDQUOT: 'free space and run the same command again',
  errno.EFBIG: 'raise the limit of file sizes and run the same command again',
  errno.EROFS: 'name a place that can be written to',
  errno.EACCES: 'name a place that you may write to',
  errno.EPERM: 'name a place that you may write to',
  errno.ENOENT: 'its folder was removed or cannot be made; name another place',
  errno.EISDIR: 'name a file',
  errno.EEXIST: 'a part of its path is a file; name another place',
  errno.ENOTDIR: 'a part of its path is a file; name another place',
  errno.ENAMETOOLONG: 'name another file',
}


class WriteError(OSError):
  """A file cannot be written; says in one line which, why and what to do."""

  def __str__(self) -> str:
    return f'{self.filename}: {self.strerror}'


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], advice: str = '') -> Iterator[None]:
  """Gives errors of the system the path that is written, and what to do.

  Args:
    path: the file or folder that is written.
    advice: what to do besides what the error itself suggests.

  Raises:
    WriteError: instead of another OSError.
  """
  try:
    yield
  except WriteError as error:
    if not advice:
      raise
    text = f'{error.strerror}{advice}'
    raise WriteError(error.errno, text, error.filename) from None
  except OSError as error:
    why = error.strerror or str(error) or type(error).__name__
    known = _ADVICE.get(error.errno or 0)
    text = f'{why}; {known}' if known else why
    raise WriteError(error.errno, f'{text}{advice}', os.fspath(path)) from None

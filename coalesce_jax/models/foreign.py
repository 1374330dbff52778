"""Says what was named instead of a bundle, and what to name instead."""

from collections.abc import Callable
import os
import pathlib
import stat

from coalesce_jax.core import file_kinds
from coalesce_jax.core import files
from coalesce_jax.models import header

WANTED = 'name a bundle, a .safetensors file that coalesce_jax wrote'
ENDING = '.safetensors'
# Most characters of names in a message.
_SHOWN = 240
_ADVICE = {
  'empty': 'copy or download it again, or ',
  'html': 'download the file itself, or ',
  'lfs': 'or ',
  **dict.fromkeys(
    ('zip', 'tar', '7z', 'rar', 'bzip2', 'xz', 'zstd', 'gzip'),
    'unpack it, or ',
  ),
}


def check_path(path: str) -> None:
  """Checks that a path leads to a regular file.

  Raises:
    ValueError: it does not. The message, one line, says what it is; for a
      folder it names the bundles inside.
  """
  if '://' in path and not os.path.exists(path):
    raise ValueError(f'a URL; download it, then {WANTED}')
  try:
    mode = os.stat(path).st_mode
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError('no such file') from None
  if stat.S_ISDIR(mode):
    raise ValueError(f'a folder; {of_folder(path)}')
  if not stat.S_ISREG(mode):
    raise ValueError(f'not a regular file; {WANTED}')


def of_folder(path: str | os.PathLike[str], flag: str = '') -> str:
  """Says what to name instead of a folder: the bundles that it holds.

  Args:
    path: the folder.
    flag: a flag to write before the names, such as '--nodes='.
  """
  found = sorted(
    str(p) for p in pathlib.Path(path).glob(f'*{ENDING}') if p.is_file()
  )
  if not found:
    return f'it holds no bundle; {WANTED}'
  names: list[str] = []
  for p in found:
    if names and len(','.join([*names, p])) > _SHOWN:
      break
    names.append(files.shown(p))
  more = len(found) - len(names)
  rest = f' and {more} more' if more else ''
  which = 'its bundle' if len(found) == 1 else 'its bundles'
  return f'name {which}: {flag}{",".join(names)}{rest}'


def described(
  path: str | os.PathLike[str], read: Callable[[int], bytes], error: str
) -> str:
  """Says what a file is that has no header of a bundle.

  Args:
    path: path of the file.
    read: reads a number of bytes from its start.
    error: what is wrong with its header.
  """
  head = read(file_kinds.HEAD)
  kind = file_kinds.kind(head, os.path.basename(os.fspath(path)))
  if error == header.NO_MANIFEST and kind == 'safetensors':
    return f'a safetensors file of another program ({error}); {WANTED}'
  if error == header.NO_MANIFEST and kind == 'unknown':
    return f'{file_kinds.NAMES[kind]} ({error}); {WANTED}'
  if kind in ('safetensors', 'unknown'):
    return f'{error}; {WANTED}'
  if kind == 'onnx' and b'coalesce_jax' in head:
    return (
      'a program that `coalesce export` wrote; only `coalesce sample '
      '--backend=onnx` runs it, all else takes the bundle it was made from'
    )
  if kind in ('onnx', 'stablehlo'):
    return (
      f'{file_kinds.NAMES[kind]}, which no bundle can be made from; {WANTED}'
    )
  if kind in ('torch', 'pickle'):
    return f'{file_kinds.NAMES[kind]}, which is never loaded; {WANTED}'
  return f'{file_kinds.NAMES[kind]}; {_ADVICE.get(kind, "")}{WANTED}'

"""Tells what a path of a user is: a folder, an array file, or something else.

A file is known by its ending and its first bytes, so that the message of a
wrong one can name it.
"""

import os
import pathlib
import stat

from coalesce_jax.core import file_kinds
from coalesce_jax.core import files
from coalesce_jax.data import decoding

WANTED = (
  f'name a folder of {decoding.NAMES} files, or an .npz, .npy or IDX file'
)
# What to do with files of some kinds.
_ADVICE = {
  **dict.fromkeys(
    ('zip', 'tar', '7z', 'rar', 'bzip2', 'xz', 'zstd'), 'unpack it'
  ),
  'torch': 'save its images by numpy.save',
  'pickle': 'it is never loaded, save its images by numpy.save',
}


def is_folder(path: str | os.PathLike[str]) -> bool:
  """Returns whether a path is a folder; False is a regular file.

  Raises:
    ValueError: the path is a URL, does not exist, is neither, or cannot be
      reached. The message is one line.
  """
  name = files.shown(path)
  if '://' in os.fspath(path):
    raise ValueError(f'{name}: a URL; download it, then {WANTED}')
  try:
    mode = os.stat(path).st_mode
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError(f'{name}: no such file or folder') from None
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or str(error)
    raise ValueError(f'{name:.200}: not readable ({reason})') from None
  if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
    raise ValueError(f'{name}: neither a folder nor a regular file; {WANTED}')
  return stat.S_ISDIR(mode)


def array_kind(path: str | os.PathLike[str]) -> str:
  """Returns how the array in a file is stored: 'npz', 'npy' or 'idx'.

  Raises:
    ValueError: the file cannot be read, or is something else. The message is
      one line that says what it is and what is wanted.
  """
  path, name = pathlib.Path(path), files.shown(path)
  try:
    with open(path, 'rb') as file:
      head = file.read(file_kinds.HEAD)
  except OSError as error:
    raise ValueError(f'{name}: not readable ({error.strerror})') from None
  suffix, kind = path.suffix.lower(), file_kinds.kind(head, path.name)
  if suffix in ('.npz', '.npy') and kind not in ('lfs', 'html'):
    return suffix[1:]
  what = _described(head, kind, path.name.lower())
  if what:
    raise ValueError(f'{name}: {what}; {WANTED}')
  return 'idx'


def _described(head: bytes, kind: str, name: str) -> str:
  """Returns what a file is that is no IDX file, or '' if it may be one."""
  if kind == 'image' or name.endswith(decoding.SUFFIXES):
    return 'one image'
  if kind == 'safetensors' or name.endswith('.safetensors'):
    return 'a bundle or file of tensors, not images'
  if kind == 'npy':
    return 'a NumPy array without the ending .npy; rename it'
  if kind == 'gzip' or head.startswith(b'\0\0'):
    return ''
  advice = _ADVICE.get(kind)
  what = file_kinds.NAMES[kind]
  return f'{what}; {advice}' if advice else what

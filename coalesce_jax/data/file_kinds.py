"""Tells what a path of a user is: a folder, an array file, or something else.

A file is known by its ending and its first bytes, so that the message of a
wrong one can name it.
"""

import os
import pathlib
import stat

from coalesce_jax.core import files
from coalesce_jax.data import decoding

WANTED = (
  f'name a folder of {decoding.NAMES} files, or an .npz, .npy or IDX file'
)
# First bytes, and what such a file is.
_STARTS = (
  (b'PK', 'a ZIP archive; unpack it'),
  (b'\x93NUMPY', 'a NumPy array without the ending .npy; rename it'),
  (b'\x89HDF', 'an HDF5 file'),
  (b'%PDF', 'a PDF file'),
  (b'7z\xbc\xaf', 'a 7z archive; unpack it'),
  (b'Rar!', 'a RAR archive; unpack it'),
  (b'BZh', 'a bzip2 archive; unpack it'),
  (b'\xfd7zXZ', 'an xz archive; unpack it'),
  (b'\x28\xb5\x2f\xfd', 'a Zstandard archive; unpack it'),
  (b'\x89PNG', 'one image'),
  (b'\xff\xd8\xff', 'one image'),
  (b'GIF8', 'one image'),
)
_ENDINGS = {
  '.pt': 'a file of PyTorch; save its images by numpy.save',
  '.pth': 'a file of PyTorch; save its images by numpy.save',
  '.pkl': 'a pickle, which is never loaded; save its images by numpy.save',
  '.tgz': 'a tar archive; unpack it',
  '.tar': 'a tar archive; unpack it',
  '.tar.gz': 'a tar archive; unpack it',
  '.safetensors': 'a bundle or file of tensors, not images',
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
      head = file.read(1024)
  except OSError as error:
    raise ValueError(f'{name}: not readable ({error.strerror})') from None
  suffix = path.suffix.lower()
  if suffix in ('.npz', '.npy'):
    return suffix[1:]
  what = _described(head, path.name.lower())
  if what:
    raise ValueError(f'{name}: {what}; {WANTED}')
  return 'idx'


def _described(head: bytes, name: str) -> str:
  """Returns what a file is that is no IDX file, or '' if it may be one."""
  if name.endswith(decoding.SUFFIXES):
    return 'one image'
  for ending, what in _ENDINGS.items():
    if name.endswith(ending):
      return what
  for start, what in _STARTS:
    if head.startswith(start):
      return what
  if head[257:262] == b'ustar':
    return _ENDINGS['.tar']
  if head.startswith((b'\0\0', b'\x1f\x8b')):
    return ''
  if not head:
    return 'an empty file'
  text = head.decode('utf-8', 'ignore')
  plain = text and all(c.isprintable() or c.isspace() for c in text)
  return 'a text file' if plain else 'a file of an unknown kind'

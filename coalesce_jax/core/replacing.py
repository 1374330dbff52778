"""Checks, before any work, that a result may replace what is at its path.

An existing file is replaced only if this package wrote it and it is of
the kind that the command writes. An empty file may be replaced, too. A folder
of images may hold nothing else than numbered images of this package.

Files are recognised by their first and last bytes. Images and arrays, which
others write as well, carry the mark `MARK`.
"""

from collections.abc import Callable
import io
import os
import pathlib
import re
import stat
from typing import Any, NamedTuple
import zipfile

import numpy as np

MARK = 'coalesce_jax'
_MARK = MARK.encode()
_BYTES = 1 << 16
_IMAGE = re.compile(r'[0-9]{6,}\.png')


class Kind(NamedTuple):
  """A kind of files.

  Attributes:
    name: for messages.
    matches: ``(first bytes, last bytes) -> whether a file is of this kind``.
  """

  name: str
  matches: Callable[[bytes, bytes], bool]


BUNDLE = Kind(
  'bundle', lambda head, tail: head[8:9] == b'{' and _MARK in head
)  # fmt: skip
PNG = Kind(
  'PNG image of this program',
  lambda head, tail: head.startswith(b'\x89PNG') and _MARK in head[:200],
)
NPZ = Kind(
  '.npz file of this program',
  lambda head, tail: head.startswith(b'PK') and tail.endswith(_MARK),
)
ONNX = Kind(
  'ONNX file of this program',
  lambda head, tail: head.startswith(b'\x08') and _MARK in head[:64],
)
STABLEHLO = Kind(
  'StableHLO program',
  lambda head, tail: b'ML\xefR' in head and b'StableHLO' in head,
)
DESCRIPTION = Kind(
  'description of a program',
  lambda head, tail: head.startswith(b'{') and b'"format_version"' in head,
)

# What `share` writes beside its models.
CARD_LINE = 'library_name: coalesce_jax'
CARD = Kind(
  'model card of this program',
  lambda head, tail: head.startswith(f'---\n{CARD_LINE}\n'.encode()),
)
SHARED_CONFIG = Kind(
  'config.json of `coalesce share`',
  lambda head, tail: head.startswith(b'{\n  "model_type": "coalesce_jax"'),
)


def check_file(path: str | os.PathLike[str], kind: Kind) -> None:
  """Checks that a file of a kind may be written to a path; creates nothing.

  Devices and pipes may be written to, too.

  Raises:
    ValueError: it may not; one line that says why and what to do.
  """
  path = os.fspath(path)
  if not path:
    raise ValueError('the name of the file to write is empty')
  try:
    found = os.stat(path)
  except FileNotFoundError:
    found = None
  except OSError as error:
    raise ValueError(f'{path}: {error.strerror}; name another file') from None
  if path.endswith('/') or (found is not None and stat.S_ISDIR(found.st_mode)):
    raise ValueError(f'{path}: is a folder; name a file')
  if found is not None and not stat.S_ISREG(found.st_mode):
    if not os.access(path, os.W_OK):
      raise ValueError(f'{path}: may not be written to; name another file')
    return
  if path.startswith(('/dev/', '/proc/')):
    # An open file of this process, which is written to and not replaced.
    return
  if found is not None and not _is(path, kind):
    raise ValueError(
      f'{path}: exists and is no {kind.name}; name another file, or remove it'
    )


def check_images(folder: str | os.PathLike[str]) -> None:
  """Checks that numbered images may be written to a folder; creates nothing.

  Raises:
    ValueError: the folder holds something else; one line.
  """
  folder = pathlib.Path(folder)
  try:
    names = os.listdir(folder)
  except FileNotFoundError:
    names = []
  except OSError as error:
    raise ValueError(
      f'{folder}: {error.strerror}; name another folder'
    ) from None
  for name in sorted(names):
    if name.startswith('.'):
      continue
    if not _IMAGE.fullmatch(name) or not _is(folder / name, PNG):
      raise ValueError(
        f'{folder}: holds {name}, which is no numbered {PNG.name}; name '
        'another folder'
      )


def image_path(folder: str | os.PathLike[str], index: int) -> pathlib.Path:
  """Returns the path of an image in a folder of numbered images."""
  return pathlib.Path(folder) / f'{index:06d}.png'


def remove_images(folder: str | os.PathLike[str], count: int) -> None:
  """Removes the images of an earlier command beyond the first `count`."""
  for path in pathlib.Path(folder).iterdir():
    if _IMAGE.fullmatch(path.name) and int(path.stem) >= count:
      path.unlink()


def npz(**arrays: Any) -> bytes:
  """Returns the bytes of an .npz file that carries the mark."""
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **arrays)
  with zipfile.ZipFile(buffer, 'a') as archive:
    archive.comment = _MARK
  return buffer.getvalue()


def _is(path: str | os.PathLike[str], kind: Kind) -> bool:
  """Whether a file is empty or of a kind; False for what is no file."""
  try:
    with open(path, 'rb') as file:
      head = file.read(_BYTES)
      size = file.seek(0, os.SEEK_END)
      file.seek(max(0, size - _BYTES))
      return not size or kind.matches(head, file.read())
  except IsADirectoryError:
    return False
  except OSError as error:
    raise ValueError(
      f'{path}: cannot be read ({error.strerror}); name another place'
    ) from None

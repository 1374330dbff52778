"""Reads images and labels from .npy and .npz files.

Pickled objects are refused. The header of an array is read first, and its size
must equal the number of bytes that follow, so that a damaged header cannot
allocate memory.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable, Sequence
import functools
import math
import os
import pathlib
from typing import IO, Any
import zipfile

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import ranges

KEYS = ('images', 'x', 'arr_0')
MAX_CLASSES = 10_000


def read(
  path: str | os.PathLike[str], max_bytes: int = 1 << 31
) -> tuple[np.ndarray, np.ndarray | None]:
  """Reads images, and labels if the file has them.

  Args:
    path: an .npy file, or an .npz file with an array 'images', 'x' or 'arr_0'
      and optionally an array 'labels'.
    max_bytes: largest accepted size of an array in bytes.

  Returns:
    images: uint8 `[N, H, W, C]`, converted by `as_images`.
    labels: int32 `[N]`, or None.

  Raises:
    ValueError: the file is damaged or too large, or holds no images or wrong
      labels. The message is one line with the file and the cause.
  """
  path, name = pathlib.Path(path), files.shown(path)

  def run() -> tuple[np.ndarray, np.ndarray | None]:
    if path.suffix.lower() == '.npy':
      size = path.stat().st_size
      images = _array(lambda: open(path, 'rb'), size, max_bytes)
      return as_images(images, path), None
    found = _entries(path, (*KEYS, 'labels'), max_bytes, first=KEYS)
    key = next(key for key in KEYS if key in found)
    images = as_images(found[key], path)
    if 'labels' not in found:
      return images, None
    return images, _as_labels(found['labels'], len(images))

  return _guarded(name, run)


def entries(
  path: str | os.PathLike[str],
  keys: Sequence[str],
  max_bytes: int = 1 << 31,
) -> dict[str, np.ndarray]:
  """Reads arrays of an .npz file as they are stored.

  Args:
    path: the file.
    keys: names of the wanted arrays. Those that the file lacks are left out.
    max_bytes: largest accepted size of an array in bytes.

  Raises:
    ValueError: the file is damaged or too large. The message is one line with
      the file and the cause.
  """
  path = pathlib.Path(path)
  return _guarded(files.shown(path), lambda: _entries(path, keys, max_bytes))


def names(path: str | os.PathLike[str]) -> list[str]:
  """Returns the names of the arrays in an .npz file, sorted.

  Raises:
    ValueError: the file is damaged. The message is one line.
  """

  def run() -> list[str]:
    with zipfile.ZipFile(path) as archive:
      return sorted(name.removesuffix('.npy') for name in archive.namelist())

  return _guarded(files.shown(path), run)


def _entries(
  path: pathlib.Path,
  keys: Sequence[str],
  max_bytes: int,
  first: Sequence[str] = (),
) -> dict[str, np.ndarray]:
  """Reads arrays; of those in `first` only one, and one must be there."""
  with zipfile.ZipFile(path) as archive:
    inside = {info.filename: info for info in archive.infolist()}
    wanted = [key for key in keys if f'{key}.npy' in inside]
    some = [key for key in wanted if key in first]
    if first and not some:
      raise ValueError(f"no array 'images' among {str(sorted(inside)):.100}")
    found = {}
    for key in wanted:
      if key not in some[1:]:
        info = inside[f'{key}.npy']
        opened = functools.partial(archive.open, info)
        found[key] = _array(opened, info.file_size, max_bytes)
    return found


def _guarded(name: str, run: Callable[[], Any]) -> Any:
  """Calls a function; all that it raises becomes one line with the file."""
  try:
    return run()
  except ValueError as error:
    text = str(error).splitlines()[0]
    if not text.startswith(name):
      text = f'{name}: {text}'
    raise ValueError(text) from None
  # On damaged bytes numpy and zipfile raise about ten other types of errors.
  except Exception as error:
    raise ValueError(f'{name}: damaged ({error!r:.200})') from None


def _array(
  opened: Callable[[], IO[bytes]], size: int, max_bytes: int
) -> np.ndarray:
  """Reads the array of a stream of `size` bytes, its header first."""
  with opened() as file:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
      shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
      shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
      raise ValueError(f'array format {version} is not supported')
    start = file.tell()
  if dtype.hasobject:
    raise ValueError('holds Python objects, which are never loaded')
  count = math.prod(shape) * dtype.itemsize
  if count > max_bytes:
    raise ValueError(f'{count} bytes exceed {max_bytes}')
  if count != size - start or any(n < 0 for n in shape):
    raise ValueError(
      f'header says {count} bytes of {shape}, the file has {size - start}'
    )
  with opened() as file:
    return np.lib.format.read_array(file, allow_pickle=False)


def as_images(
  array: np.ndarray, path: str | os.PathLike[str] = 'images'
) -> np.ndarray:
  """Converts an array of images to uint8 `[N, H, W, C]`.

  Args:
    array: `[N, H, W]` or `[N, H, W, 1 or 3]` of values that `ranges.meaning`
      can tell.
    path: the source of the array, for error messages.

  Raises:
    ValueError: the array has another shape or other values, or none.
  """
  name, shape = files.shown(path), array.shape
  # As grey images they would be 3 or 4 pixels wide.
  if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 8:
    raise ValueError(
      f'{name}: shape {shape} is one image [H, W, C], not [N, H, W, 1 or 3]; '
      'for one image save images[None]'
    )
  if array.ndim == 3:
    array = array[..., None]
  if array.ndim != 4 or array.shape[3] not in (1, 3) or not array.size:
    first = array.ndim == 4 and shape[1] in (1, 3)
    advice = '; save images.transpose(0, 2, 3, 1)' if first else ''
    raise ValueError(
      f'{name}: shape {shape} is not [N, H, W] or [N, H, W, 1 or 3]{advice}'
    )
  return ranges.as_levels(array, name)


def _as_labels(array: np.ndarray, count: int) -> np.ndarray:
  if array.shape != (count,) or array.dtype.kind not in 'iu':
    raise ValueError('labels are not one integer per image')
  if array.min() < 0 or array.max() >= MAX_CLASSES:
    raise ValueError(
      f'labels {array.min()}..{array.max()} are not in [0, {MAX_CLASSES})'
    )
  return array.astype(np.int32)

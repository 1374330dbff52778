"""Reads images and labels from .npy and .npz files.

Pickled objects are refused. The header of an array is read first, and its size
must equal the number of bytes that follow, so that a damaged header cannot
allocate memory.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable
import math
import os
import pathlib
from typing import IO
import zipfile

import numpy as np

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
  path = pathlib.Path(path)
  try:
    if path.suffix.lower() == '.npy':
      size = path.stat().st_size
      images = _array(lambda: open(path, 'rb'), size, max_bytes)
      return as_images(images, path), None
    with zipfile.ZipFile(path) as archive:
      entries = {info.filename: info for info in archive.infolist()}
      found = [key for key in KEYS if f'{key}.npy' in entries]
      if not found:
        raise ValueError(f"no array 'images' among {str(sorted(entries)):.100}")

      def entry(key: str) -> np.ndarray:
        info = entries[f'{key}.npy']
        return _array(lambda: archive.open(info), info.file_size, max_bytes)

      images = as_images(entry(found[0]), path)
      if 'labels.npy' not in entries:
        return images, None
      return images, _as_labels(entry('labels'), len(images))
  except ValueError as error:
    text = str(error).splitlines()[0]
    if not text.startswith(str(path)):
      text = f'{path}: {text}'
    raise ValueError(text) from None
  # On damaged bytes numpy and zipfile raise about ten other types of errors.
  except Exception as error:
    raise ValueError(f'{path}: damaged ({error!r:.200})') from None


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
    array: `[N, H, W]` or `[N, H, W, 1 or 3]`. Its values are uint8 or floats in
      [0, 1]; if any value is negative, floats in [-1, 1].
    path: the source of the array, for error messages.

  Raises:
    ValueError: the array has another shape, other values, or none.
  """
  if array.ndim == 3:
    array = array[..., None]
  if array.ndim != 4 or array.shape[3] not in (1, 3) or not array.size:
    raise ValueError(
      f'{path}: shape {array.shape} is not [N, H, W] or [N, H, W, 1 or 3]'
    )
  if array.dtype == np.uint8:
    return array
  if array.dtype.kind == 'f':
    low, high = float(array.min()), float(array.max())
    if np.isfinite([low, high]).all() and -1.0 <= low and high <= 1.0:
      wide = array.astype(np.float32)
      scaled = (wide + 1.0) * 127.5 if low < 0.0 else wide * 255.0
      return np.round(scaled).astype(np.uint8)
  raise ValueError(
    f'{path}: values must be uint8 0..255 or floats in [0, 1] or [-1, 1], '
    f'not {array.dtype}'
  )


def _as_labels(array: np.ndarray, count: int) -> np.ndarray:
  if array.shape != (count,) or array.dtype.kind not in 'iu':
    raise ValueError('labels are not one integer per image')
  if array.min() < 0 or array.max() >= MAX_CLASSES:
    raise ValueError(
      f'labels {array.min()}..{array.max()} are not in [0, {MAX_CLASSES})'
    )
  return array.astype(np.int32)

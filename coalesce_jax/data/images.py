"""A user's images: a folder of PNG/JPEG, an .npz or .npy array, or IDX.

Shapes: N images, H, W, C; always uint8 0..255.
"""

import os
import pathlib
from typing import Any, NamedTuple
import warnings
import zipfile

import numpy as np
from PIL import Image

from coalesce_jax.data import idx

SUFFIXES = ('.png', '.jpg', '.jpeg')
MAX_BYTES = 1 << 31


class Images(NamedTuple):
  """Images with or without labels.

  Attributes:
    images: uint8 `[N, H, W, C]`.
    labels: int32 `[N]`, or None.
  """

  images: np.ndarray
  labels: np.ndarray | None


def load(
  path: str | os.PathLike[str], image_shape: tuple[int, ...] | None = None
) -> Images:
  """Loads a folder or an array file.

  Args:
    path: a folder (one sub-folder a class, or images directly inside), .npz,
      .npy or IDX file.
    image_shape: (H, W, C) wanted: a folder's images are cropped to the
      middle square and resized, an array must have it. None keeps their own.

  Raises:
    ValueError: one line that names the file and what is wrong.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    return load_folder(path, image_shape)
  if not path.is_file():
    raise ValueError(f'{path}: no such file or folder')
  images, labels = _read_array(path)
  images = _as_images(images, path)
  if image_shape is not None and images.shape[1:] != tuple(image_shape):
    raise ValueError(
      f'{path}: images are {images.shape[1:]}, {tuple(image_shape)} is needed'
    )
  return Images(images, labels)


def load_folder(
  folder: pathlib.Path, image_shape: tuple[int, ...] | None = None
) -> Images:
  """Loads a folder of PNG/JPEG images in the order of their names."""
  classes = sorted(d for d in folder.iterdir() if d.is_dir())
  files: list[tuple[pathlib.Path, int | None]]
  files = [(f, None) for f in _files(folder)]
  if not files:
    files = [(f, k) for k, d in enumerate(classes) for f in _files(d)]
  if not files:
    raise ValueError(f'{folder}: no {", ".join(SUFFIXES)} files inside')
  images: list[np.ndarray] = []
  for file, _ in files:
    image = _decode(file, image_shape)
    if images and image.shape != images[0].shape:
      raise ValueError(
        f'{file}: size {image.shape}, but {files[0][0].name} has '
        f'{images[0].shape}; name one size for all'
      )
    images.append(image)
    if len(images) * image.nbytes > MAX_BYTES:
      raise ValueError(f'{folder}: more than {MAX_BYTES} bytes of images')
  labelled = files[0][1] is not None
  labels = np.array([k for _, k in files], np.int32) if labelled else None
  return Images(np.stack(images), labels)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    f
    for f in folder.iterdir()
    if f.suffix.lower() in SUFFIXES and not f.name.startswith('.')
  )


def _decode(
  file: pathlib.Path, image_shape: tuple[int, ...] | None
) -> np.ndarray:
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', Image.DecompressionBombWarning)
      with Image.open(file, formats=('PNG', 'JPEG')) as opened:
        grey = opened.mode in ('1', 'L', 'LA', 'I;16')
        channels = (1 if grey else 3) if image_shape is None else image_shape[2]
        image = opened.convert('L' if channels == 1 else 'RGB')
        if image_shape is not None:
          side = min(image.size)
          left, top = ((n - side) // 2 for n in image.size)
          image = image.crop((left, top, left + side, top + side))
          size = (image_shape[1], image_shape[0])
          image = image.resize(size, Image.Resampling.LANCZOS)
        array = np.asarray(image, np.uint8)
  except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:  # noqa: E501  # fmt: skip
    raise ValueError(f'{file}: not a readable image ({error})') from None
  return array[..., None] if array.ndim == 2 else array


def _read_array(
  path: pathlib.Path,
) -> tuple[np.ndarray, np.ndarray | None]:
  suffix = path.suffix.lower()
  if suffix not in ('.npz', '.npy'):
    return idx.read(path), None
  try:
    if suffix == '.npy':
      _check_header(path.open('rb'), path)
      return np.load(path, allow_pickle=False), None
    with zipfile.ZipFile(path) as archive:
      names = [n.removesuffix('.npy') for n in archive.namelist()]
      key = next((k for k in ('images', 'x', 'arr_0') if k in names), None)
      if key is None:
        raise ValueError(f"{path}: no array 'images' among {names[:5]}")
      _check_header(archive.open(f'{key}.npy'), path)
      if 'labels' in names:
        _check_header(archive.open('labels.npy'), path)
    with np.load(path, allow_pickle=False) as arrays:
      labels = arrays['labels'] if 'labels' in names else None
      images = arrays[key]
  except (OSError, EOFError, zipfile.BadZipFile) as error:
    raise ValueError(f'{path}: damaged ({error})') from None
  except ValueError as error:
    text = str(error)
    raise ValueError(
      text if text.startswith(str(path)) else f'{path}: {text.splitlines()[0]}'
    ) from None
  if labels is not None:
    if labels.shape != images.shape[:1] or labels.dtype.kind not in 'iu':
      raise ValueError(f'{path}: labels are not one integer an image')
    labels = labels.astype(np.int32)
  return images, labels


def _check_header(file: Any, path: pathlib.Path) -> None:
  """Refuses object arrays and sizes beyond the limit before reading them."""
  with file:
    version = np.lib.format.read_magic(file)
    read = (
      np.lib.format.read_array_header_1_0
      if version == (1, 0)
      else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
  if dtype.hasobject:
    raise ValueError(f'{path}: holds Python objects, which are never loaded')
  size = dtype.itemsize
  for n in shape:
    size *= n
  if size > MAX_BYTES:
    raise ValueError(f'{path}: {size} bytes exceed {MAX_BYTES}')


def _as_images(array: np.ndarray, path: pathlib.Path) -> np.ndarray:
  if array.ndim == 3:
    array = array[..., None]
  if array.ndim != 4 or array.shape[3] not in (1, 3) or not len(array):
    raise ValueError(
      f'{path}: shape {array.shape} is not [N, H, W] or [N, H, W, 1 or 3]'
    )
  if array.dtype == np.uint8:
    return array
  if array.dtype.kind == 'f':
    low, high = float(array.min()), float(array.max())
    if np.isfinite([low, high]).all() and -1.0 <= low and high <= 1.0:
      scaled = (array + 1.0) * 127.5 if low < 0.0 else array * 255.0
      return np.round(scaled).astype(np.uint8)
  raise ValueError(
    f'{path}: values must be uint8 0..255 or floats in [0, 1] or [-1, 1], '
    f'not {array.dtype}'
  )

"""Loads a user's images from a folder of PNG and JPEG files or from an array.

Arrays are .npz, .npy or IDX files.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Mapping
import os
import pathlib
import re
from typing import NamedTuple
import warnings

import numpy as np
from PIL import Image
from PIL import ImageOps

from coalesce_jax.data import arrays
from coalesce_jax.data import idx

SUFFIXES = ('.png', '.jpg', '.jpeg')
MAX_BYTES = 1 << 31
MAX_SIDE = 4096


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
    path: a folder (see `load_folder`), an .npz or .npy file (see
      `arrays.read`), or an IDX file (see `idx.read`).
    image_shape: the wanted (H, W, C). The images of a folder are converted to
      it; an array must have it. None keeps their own shape.

  Raises:
    ValueError: the path does not exist, or its images cannot be read or have
      another shape. The message is one line with the file and the cause.
  """
  path = pathlib.Path(path)
  _check_shape(image_shape)
  if path.is_dir():
    return load_folder(path, image_shape)
  if not path.is_file():
    raise ValueError(f'{path}: no such file or folder')
  suffix = path.suffix.lower()
  if suffix in SUFFIXES:
    raise ValueError(f'{path}: one image; name the folder that holds them')
  labels = None
  if suffix in ('.npz', '.npy'):
    images, labels = arrays.read(path, MAX_BYTES)
  else:
    images = arrays.as_images(idx.read(path, MAX_BYTES), path)
  if image_shape is not None and images.shape[1:] != tuple(image_shape):
    raise ValueError(
      f'{path}: images are {images.shape[1:]}, {tuple(image_shape)} is needed'
    )
  return Images(images, labels)


def load_folder(
  folder: str | os.PathLike[str],
  image_shape: tuple[int, ...] | None = None,
  classes: Mapping[str, int] | None = None,
) -> Images:
  """Loads a folder of PNG/JPEG images in the order of their names.

  Args:
    folder: a folder with images (without labels), or with one sub-folder per
      class. Hidden files, deeper folders and other file types are ignored.
    image_shape: the wanted (H, W, C), C in {1, 3}. Images are cropped to its
      proportions around their middle, resized and converted. None keeps their
      own shape, which must be the same for all.
    classes: label by sub-folder; None is ``class_labels(folder)``.

  Returns:
    The images, rotated as their EXIF data say. 16-bit grey levels are scaled to
    8 bits, and transparency is dropped.

  Raises:
    ValueError: there are no images, an image cannot be read, or their shapes
      differ. The message is one line with the file or folder and the cause.
  """
  folder = pathlib.Path(folder)
  _check_shape(image_shape)
  if classes is None:
    classes = class_labels(folder)
  direct = _files(folder)
  labelled = [
    (f, label)
    for name, label in sorted(classes.items(), key=lambda item: item[1])
    if (folder / name).is_dir()
    for f in _files(folder / name)
  ]
  if direct and labelled:
    raise ValueError(
      f'{folder}: images both inside ({direct[0].name}) and in sub-folders '
      f'({labelled[0][0].parent.name}); keep one of the two'
    )
  names = direct or [f for f, _ in labelled]
  if not names:
    raise ValueError(f'{folder}: no {", ".join(SUFFIXES)} files inside')
  images: list[np.ndarray] = []
  for file in names:
    image = _decode(file, image_shape)
    if images and image.shape != images[0].shape:
      raise ValueError(
        f'{file}: size {image.shape}, but {names[0].name} has '
        f'{images[0].shape}; name one size for all'
      )
    images.append(image)
    if len(images) * image.nbytes > MAX_BYTES:
      raise ValueError(f'{folder}: more than {MAX_BYTES} bytes of images')
  labels = np.array([k for _, k in labelled], np.int32) if labelled else None
  return Images(np.stack(images), labels)


def class_labels(*folders: str | os.PathLike[str]) -> dict[str, int]:
  """Returns the label of every sub-folder with images, by its name.

  If all names are numbers below 10,000, they are the labels themselves.
  Otherwise the names are numbered in alphabetical order.

  Args:
    *folders: folders with sub-folders, which get the same labels in all.
  """
  names = sorted(
    {
      d.name
      for folder in folders
      for d in pathlib.Path(folder).iterdir()
      if d.is_dir() and not d.name.startswith('.') and _files(d)
    }
  )
  if all(re.fullmatch('[0-9]{1,4}', name) for name in names):
    if len({int(name) for name in names}) == len(names):
      return {name: int(name) for name in names}
  return {name: k for k, name in enumerate(names)}


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    f
    for f in folder.iterdir()
    if f.suffix.lower() in SUFFIXES
    and not f.name.startswith('.')
    and f.is_file()
  )


def _check_shape(image_shape: tuple[int, ...] | None) -> None:
  if image_shape is None:
    return
  if (
    len(image_shape) != 3
    or image_shape[2] not in (1, 3)
    or not all(1 <= n <= MAX_SIDE for n in image_shape)
  ):
    raise ValueError(
      f'image_shape {tuple(image_shape)} is not (H, W, 1 or 3) with sides in '
      f'[1, {MAX_SIDE}]'
    )


def _decode(
  file: pathlib.Path, image_shape: tuple[int, ...] | None
) -> np.ndarray:
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', Image.DecompressionBombWarning)
      with Image.open(file, formats=('PNG', 'JPEG')) as opened:
        image = _upright(opened)
    grey = image.mode in ('1', 'L', 'LA', 'La')
    channels = (1 if grey else 3) if image_shape is None else image_shape[2]
    image = image.convert('L' if channels == 1 else 'RGB')
    if image_shape is not None:
      image = _fit(image, image_shape[0], image_shape[1])
    array = np.array(image, np.uint8)
  # On damaged bytes decoders can raise any error.
  except Exception as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{file}: not a readable image ({reason})') from None
  return array[..., None] if array.ndim == 2 else array


def _fit(image: Image.Image, height: int, width: int) -> Image.Image:
  """Crops the middle of an image to the wanted proportions and resizes it."""
  # `ImageOps.fit` would mix in pixels outside the crop.
  across = max(1, min(image.width, round(image.height * width / height)))
  down = max(1, min(image.height, round(image.width * height / width)))
  left, top = (image.width - across) // 2, (image.height - down) // 2
  image = image.crop((left, top, left + across, top + down))
  return image.resize((width, height), Image.Resampling.LANCZOS)


def _upright(opened: Image.Image) -> Image.Image:
  """Decodes an image, rotates it by its EXIF data and scales it to 8 bits."""
  image = ImageOps.exif_transpose(opened)
  # Pillow's conversion of 16-bit levels clips them at 255 instead of scaling.
  if image.mode.startswith('I'):
    wide = np.asarray(image.convert('I'))
    image = Image.fromarray(np.round(wide / 257.0).clip(0, 255).astype('u1'))
  return image

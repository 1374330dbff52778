"""Loads a user's images from a folder of pictures or from an array.

Pictures are PNG, JPEG, WebP, BMP, GIF or TIFF files. Arrays are .npz, .npy or
IDX files.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Iterable, Mapping
import os
import pathlib
import re
from typing import NamedTuple

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import arrays
from coalesce_jax.data import decoding
from coalesce_jax.data import file_kinds
from coalesce_jax.data import folders
from coalesce_jax.data import idx
from coalesce_jax.data import shapes

SUFFIXES = decoding.SUFFIXES
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
  path: str | os.PathLike[str],
  image_shape: tuple[int, ...] | None = None,
  labelled: bool = True,
) -> Images:
  """Loads a folder or an array file.

  Args:
    path: a folder (see `load_folder`), an .npz or .npy file (see
      `arrays.read`), or an IDX file (see `idx.read`).
    image_shape: the wanted (H, W, C). The images of a folder are converted to
      it; an array must have it. None keeps their own shape.
    labelled: see `load_folder`.

  Raises:
    ValueError: the path does not exist, or its images cannot be read or have
      another shape. The message is one line with the file and the cause.
  """
  _check_shape(image_shape)
  if file_kinds.is_folder(path):
    return load_folder(path, image_shape, labelled=labelled)
  kind = file_kinds.array_kind(path)
  labels = None
  if kind == 'idx':
    images = arrays.as_images(idx.read(path, MAX_BYTES), path)
  else:
    images, labels = arrays.read(path, MAX_BYTES)
  shapes.check(files.shown(path), images.shape[1:], image_shape)
  return Images(images, labels if labelled else None)


def load_folder(
  folder: str | os.PathLike[str],
  image_shape: tuple[int, ...] | None = None,
  classes: Mapping[str, int] | None = None,
  labelled: bool = True,
) -> Images:
  """Loads the pictures of a folder and of its sub-folders at every depth.

  One line of the log says how many there are and what was left out.

  Args:
    folder: a folder with pictures (without labels), or with one sub-folder per
      class. A picture of a deeper folder has the class of the sub-folder that
      leads to it. Hidden files and other file types are left out.
    image_shape: the wanted (H, W, C), see `decoding.convert`. None keeps their
      own shape, which must be the same for all.
    classes: label by sub-folder; None is ``class_labels(folder)``.
    labelled: whether labels are wanted. Without them, pictures may be both in
      the folder and in its sub-folders, and come in this order.

  Returns:
    The images in the order of labels and names, see `decoding.convert`.

  Raises:
    ValueError: there are no pictures, one cannot be read, or their shapes
      differ. The message is one line with the file or folder and the cause.
  """
  _check_shape(image_shape)
  name, found = files.shown(folder), folders.find(folder)
  if classes is None:
    classes = _numbered(found.below)
  inner = [
    (file, label)
    for sub, label in sorted(classes.items(), key=lambda item: item[1])
    for file in found.below.get(sub, ())
  ]
  if labelled and found.direct and inner:
    one, other = (
      files.shown(file.relative_to(folder))
      for file in (found.direct[0], inner[0][0])
    )
    raise ValueError(
      f'{name}: images both inside ({one}) and in sub-folders ({other}), which '
      'are classes; keep one of the two'
    )
  paths = [*found.direct, *(file for file, _ in inner)]
  if not paths:
    raise ValueError(f'{name}: {found.nothing()}')
  images = _stacked(name, paths, image_shape)
  logging.info(
    '%d images of %s (%s)%s', len(paths), name, found.report(), _frames(paths)
  )
  labels = np.array([k for _, k in inner], np.int32)
  return Images(images, labels if labelled and inner else None)


def class_labels(*roots: str | os.PathLike[str]) -> dict[str, int]:
  """Returns the label of every sub-folder with pictures, by its name.

  If all names are numbers below 10,000, they are the labels themselves.
  Otherwise the names are numbered in alphabetical order.

  Args:
    *roots: folders with sub-folders, which get the same labels in all.
  """
  return _numbered(
    {name for root in roots for name in folders.find(root).below}
  )


def _numbered(names: Iterable[str]) -> dict[str, int]:
  names = sorted(names)
  if all(re.fullmatch('[0-9]{1,4}', name) for name in names):
    if len({int(name) for name in names}) == len(names):
      return {name: int(name) for name in names}
  return {name: k for k, name in enumerate(names)}


def _stacked(
  name: str, paths: list[pathlib.Path], image_shape: tuple[int, ...] | None
) -> np.ndarray:
  images: list[np.ndarray] = []
  for file in paths:
    image = decoding.decode(file, image_shape)
    if images and image.shape != images[0].shape:
      raise ValueError(
        f'{files.shown(file)}: size {image.shape}, but '
        f'{files.shown(paths[0].name)} has {images[0].shape}; name one size '
        'and number of channels for all'
      )
    images.append(image)
    if len(images) * image.nbytes > MAX_BYTES:
      raise ValueError(f'{name}: more than {MAX_BYTES} bytes of images')
  return np.stack(images)


def _frames(paths: list[pathlib.Path]) -> str:
  """Returns how many files have frames that are not read."""
  count = sum(
    decoding.header(file).frames
    for file in paths
    if file.suffix.lower() in decoding.WITH_FRAMES
  )
  return f'; of {count} with several frames the first' if count else ''


def _check_shape(image_shape: tuple[int, ...] | None) -> None:
  if image_shape is None:
    return
  if (
    len(image_shape) != 3
    or image_shape[2] not in (1, 3)
    or not all(1 <= n <= shapes.MAX_SIDE for n in image_shape)
  ):
    raise ValueError(
      f'image_shape {tuple(image_shape)} is not (H, W, 1 or 3) with sides in '
      f'[1, {shapes.MAX_SIDE}]'
    )

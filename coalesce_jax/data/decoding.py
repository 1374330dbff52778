"""Decodes one picture to 8 bits, whatever its mode.

Transparent pixels show white, as on a page. Animations and files of several
pages give their first frame.

Shapes: H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable
import os
from typing import Any, NamedTuple
import warnings

import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import UnidentifiedImageError

from coalesce_jax.core import file_kinds
from coalesce_jax.core import files
from coalesce_jax.data import ranges

# The formats of Pillow that are read, and the endings of their files.
FORMATS = {
  'PNG': ('.png',),
  'JPEG': ('.jpg', '.jpeg', '.jfif'),
  'WEBP': ('.webp',),
  'BMP': ('.bmp',),
  'GIF': ('.gif',),
  'TIFF': ('.tif', '.tiff'),
}
SUFFIXES = tuple(s for suffixes in FORMATS.values() for s in suffixes)
# Endings of files that often hold more than one picture.
WITH_FRAMES = ('.gif', '.webp', '.tif', '.tiff')
NAMES = 'PNG, JPEG, WebP, BMP, GIF or TIFF'
# Modes without colours; P is colours by number.
_GREY = ('1', 'L', 'LA', 'La', 'I', 'F')
_ALPHA = ('LA', 'La', 'PA', 'RGBA', 'RGBa')


class Header(NamedTuple):
  """What the header of a picture says.

  Attributes:
    height: rows as shown, after rotation by the EXIF data.
    width: columns as shown.
    grey: whether the picture has no colours.
    frames: whether there are more frames than the first, which alone is read.
    alpha: whether the picture has transparency, which shows white.
    deep: whether the picture has 16 bits or floats, which become 8 bits.
  """

  height: int
  width: int
  grey: bool
  frames: bool
  alpha: bool = False
  deep: bool = False


def header(file: str | os.PathLike[str]) -> Header:
  """Reads the header of a picture without decoding it.

  Raises:
    ValueError: the file cannot be read. The message is one line.
  """

  def read(image: Image.Image, grey: bool) -> Header:
    width, height = image.size
    # To find EXIF data, Pillow decodes a PNG file: not for squares.
    if width != height and image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
      width, height = height, width
    frames = bool(getattr(image, 'is_animated', False))
    alpha = image.mode in _ALPHA or 'transparency' in image.info
    deep = image.mode.partition(';')[0] in ('I', 'F')
    return Header(height, width, grey, frames, alpha, deep)

  return _opened(file, read)


def decode(
  file: str | os.PathLike[str], image_shape: tuple[int, ...] | None = None
) -> np.ndarray:
  """Decodes a file to uint8 `[H, W, C]`.

  Args:
    file: a file of one of `FORMATS`, whatever its ending.
    image_shape: see `convert`.

  Raises:
    ValueError: the file cannot be read. The message is one line.
  """
  return _opened(file, lambda image, grey: _levels(image, grey, image_shape))


def convert(
  image: Image.Image, name: str, image_shape: tuple[int, ...] | None = None
) -> np.ndarray:
  """Converts a picture of Pillow to uint8 `[H, W, C]`.

  The picture is rotated as its EXIF data say. 16-bit levels are scaled to 8
  bits, floats as `ranges.as_levels` says. Transparent pixels show white.

  Args:
    image: the picture.
    name: its name, for messages.
    image_shape: the wanted (H, W, C), C in {1, 3}. The picture is cropped to
      its proportions around its middle, resized and converted. None keeps its
      own shape; one channel if it is grey.

  Raises:
    ValueError: the picture cannot be decoded. The message is one line.
  """
  return _guarded(name, lambda: _levels(image, _is_grey(image), image_shape))


def _opened(
  file: str | os.PathLike[str], read: Callable[[Image.Image, bool], Any]
) -> Any:
  """Calls ``read(picture, whether it is grey)`` on an opened file."""
  name = files.shown(file)
  try:
    raw = open(file, 'rb')
  except OSError as error:
    raise ValueError(f'{name}: not readable ({error.strerror})') from None

  def run() -> Any:
    head = raw.read(file_kinds.HEAD)
    raw.seek(0)
    kind = file_kinds.kind(head, os.path.basename(os.fspath(file)))
    if kind in ('empty', 'html', 'lfs'):
      raise ValueError(file_kinds.NAMES[kind])
    with Image.open(raw, formats=tuple(FORMATS)) as image:
      # Pillow opens grey PNG files with 16-bit alpha as colours.
      deep = image.format == 'PNG' and head[24:26] == b'\x10\x04'
      return read(image, deep or _is_grey(image))

  with raw:
    return _guarded(name, run)


def _guarded(name: str, run: Callable[[], Any]) -> Any:
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('error', Image.DecompressionBombWarning)
      return run()
  except (Image.DecompressionBombWarning, Image.DecompressionBombError):
    limit = Image.MAX_IMAGE_PIXELS
    reason = f'more than {limit} pixels'
  except UnidentifiedImageError:
    reason = f'no {NAMES} file'
  # On damaged bytes decoders can raise any error.
  except Exception as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
  raise ValueError(
    f'{name}: not a readable image ({reason}); replace it, or leave it out'
  ) from None


def _is_grey(image: Image.Image) -> bool:
  if image.mode == 'P' and image.palette:
    colours = np.frombuffer(image.palette.getdata()[1], np.uint8)
    step = len(image.palette.mode)
    if step >= 3 and not len(colours) % step:
      colours = colours.reshape(-1, step)
      return bool(np.all(colours[:, :1] == colours[:, 1:3]))
  return image.mode.partition(';')[0] in _GREY


def _levels(
  opened: Image.Image, grey: bool, image_shape: tuple[int, ...] | None
) -> np.ndarray:
  channels = image_shape[2] if image_shape else 1 if grey else 3
  image = ImageOps.exif_transpose(opened)
  if image.mode.partition(';')[0] in ('I', 'F'):
    image = _narrow(image)
  if image.mode in _ALPHA or 'transparency' in image.info:
    image = _on_white(image)
  image = image.convert('L' if channels == 1 else 'RGB')
  if image_shape is not None:
    image = _fit(image, image_shape[0], image_shape[1])
  array = np.array(image, np.uint8)
  return array[..., None] if array.ndim == 2 else array


def _narrow(image: Image.Image) -> Image.Image:
  """Scales 16-bit or float levels to 8 bits; Pillow would clip them."""
  wide = np.asarray(image if image.mode == 'F' else image.convert('I'))
  if image.mode == 'F':
    levels = ranges.as_levels(wide, 'its floats')
  elif wide.min() < 0 or wide.max() > 65535:
    raise ValueError(f'levels {wide.min()} to {wide.max()}, not 0 to 65535')
  else:
    levels = np.round(wide / 257.0).astype(np.uint8)
  clear = image.info.get('transparency')
  if isinstance(clear, int):
    levels = np.where(wide == clear, np.uint8(255), levels)
  return Image.fromarray(levels)


def _on_white(image: Image.Image) -> Image.Image:
  # Premultiplied modes have conversions only to their plain counterparts.
  plain = {'La': 'LA', 'RGBa': 'RGBA'}.get(image.mode)
  image = (image.convert(plain) if plain else image).convert('RGBA')
  pixels = np.asarray(image, np.float32)
  colours, alpha = pixels[..., :3], pixels[..., 3:] / 255.0
  mixed = colours * alpha + 255.0 * (1.0 - alpha)
  return Image.fromarray(np.round(mixed).astype(np.uint8))


def _fit(image: Image.Image, height: int, width: int) -> Image.Image:
  """Crops the middle of an image to the wanted proportions and resizes it."""
  # `ImageOps.fit` would mix in pixels outside the crop.
  across = max(1, min(image.width, round(image.height * width / height)))
  down = max(1, min(image.height, round(image.width * height / width)))
  left, top = (image.width - across) // 2, (image.height - down) // 2
  image = image.crop((left, top, left + across, top + down))
  return image.resize((width, height), Image.Resampling.LANCZOS)

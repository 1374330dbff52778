"""Resizes and crops image pairs on the host.

`Settings.preprocess` says how. Random crops and flips are made on the device,
see `pair_augmentation`. Both halves of a pair get the same geometry.

Shapes: N images, H, W, C image; uint8 levels or float32 in [-1, 1].
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from coalesce_jax.data import pair_settings

# The weights of ITU-R BT.601, as in Pillow.
_LUMA = (0.299, 0.587, 0.114)
_BICUBIC = Image.Resampling.BICUBIC


def size(
  own: tuple[int, int], settings: pair_settings.Settings, train: bool
) -> tuple[int, int]:
  """Returns the (H, W) to which an image is resized.

  Args:
    own: (H, W) of the image.
    settings: says how.
    train: whether the image is for training.
  """
  if settings.preprocess == 'resize_and_crop':
    return settings.load if train else settings.crop
  if settings.preprocess == 'scale_width':
    width = settings.load[1]
    return max(1, round(own[0] * width / own[1])), width
  return own


def resized(image: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
  """Resizes an image `[H, W, C]` to another (H, W) by bicubic interpolation.

  Levels are rounded and clipped; floats are clipped to [-1, 1].
  """
  if image.shape[:2] == wanted:
    return image
  if image.dtype == np.uint8 and image.shape[2] in (1, 3):
    plain = image[..., 0] if image.shape[2] == 1 else image
    made = np.asarray(
      Image.fromarray(plain).resize((wanted[1], wanted[0]), _BICUBIC)
    )
    return made.reshape(*wanted, image.shape[2])
  planes = [
    np.asarray(
      Image.fromarray(image[..., k].astype(np.float32)).resize(
        (wanted[1], wanted[0]), _BICUBIC
      )
    )
    for k in range(image.shape[2])
  ]
  made = np.stack(planes, -1)
  if image.dtype == np.uint8:
    return np.round(made).clip(0, 255).astype(np.uint8)
  return made.clip(-1.0, 1.0)


def middle(image: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
  """Crops the middle of an image `[H, W, C]` to (H, W), at most its own."""
  height, width = (
    min(w, n) for w, n in zip(wanted, image.shape[:2], strict=True)
  )
  top = (image.shape[0] - height) // 2
  left = (image.shape[1] - width) // 2
  return image[top : top + height, left : left + width]


def with_channels(image: np.ndarray, channels: int | None) -> np.ndarray:
  """Converts an image `[..., C]` to grey or to colours.

  Args:
    image: uint8 with 1 or 3 channels, or any other array with `channels`.
    channels: 1, 3, or None to keep them.

  Raises:
    ValueError: there is no conversion.
  """
  own = image.shape[-1]
  if channels is None or own == channels:
    return image
  if own == 1:
    return np.repeat(image, channels, -1)
  if own != 3 or channels != 1:
    raise ValueError(f'{own} channels do not become {channels}')
  grey = image.astype(np.float32) @ np.array(_LUMA, np.float32)
  if image.dtype == np.uint8:
    grey = np.round(grey)
  return grey[..., None].astype(image.dtype)


def stacked(
  images: Sequence[np.ndarray],
  names: Sequence[str],
  settings: pair_settings.Settings,
  train: bool,
) -> np.ndarray:
  """Stacks images of one domain, `[N, H, W, C]`.

  With 'crop' those for training are cropped around their middle to the smallest
  height and width, and those held out to `crop_size`.

  Args:
    images: each `[H, W, C]`.
    names: of the images, for messages.
    settings: says how.
    train: whether the images are for training.

  Raises:
    ValueError: sizes or channels differ. The message names two images.
  """
  made = list(images)
  if settings.preprocess == 'crop':
    smallest = tuple(int(n) for n in np.min([m.shape[:2] for m in made], 0))
    if not train:
      smallest = tuple(map(min, smallest, settings.crop))
    made = [middle(each, (smallest[0], smallest[1])) for each in made]
  for name, each in zip(names, made, strict=True):
    if each.shape != made[0].shape:
      raise ValueError(
        f'{name}: size {each.shape} after preprocess {settings.preprocess!r}, '
        f'but {names[0]} has {made[0].shape}; use resize_and_crop'
      )
  return np.stack(made)


def check_crop(
  name: str, own: tuple[int, ...], settings: pair_settings.Settings
) -> None:
  """Checks that crops fit into images.

  Args:
    name: of the images, for the message.
    own: their (H, W).
    settings: says how large the crops are. Without crops all sizes fit.

  Raises:
    ValueError: an image is smaller than a crop.
  """
  if settings.preprocess in ('resize_and_crop', 'crop') and any(
    c > n for c, n in zip(settings.crop, own, strict=True)
  ):
    raise ValueError(
      f'{name}: images of {own[0]}x{own[1]} are smaller than crop_size '
      f'{settings.crop[0]}x{settings.crop[1]}'
    )

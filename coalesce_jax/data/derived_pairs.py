"""Derives pairs from any images: the condition is computed from the target.

* colourise: the lightness L* of CIE Lab, as a grey image.
* edges: the magnitude of Sobel's gradient of L*, dark lines on white.
* super_resolution: the image reduced to a quarter of its sides and enlarged.
* inpaint: the image with a square of mid-grey in its middle.
* denoise: the image with Gaussian noise.

Shapes: N images, H, W, C image; uint8, 0 to 255.
"""

from collections.abc import Callable
import os

import numpy as np
from PIL import Image
from scipy import ndimage

from coalesce_jax.data import datasets
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_settings
from coalesce_jax.data import shapes

# Super-resolution: sides are divided by this.
FACTOR = 4
# Inpainting: level of the hole, and its sides as a fraction of the image's.
HOLE_LEVEL, HOLE = 128, 0.5
# Denoising: standard deviation of the noise in levels, a tenth of the range.
NOISE = 25.5
_BICUBIC = Image.Resampling.BICUBIC

TEXTS = {
  'colourise': 'grey lightness to colour',
  'edges': 'Sobel edges to image',
  'super_resolution': f'{FACTOR}x smaller, enlarged again, to image',
  'inpaint': 'image without its middle to image',
  'denoise': 'noisy image to image',
}


def load(
  kind: str,
  source: str,
  settings: pair_settings.Settings,
  data_dir: str | None = None,
) -> tuple[tuple[pair_files.Half, pair_files.Half], str]:
  """Loads images and derives the conditions of both splits.

  The test split of the data set is held out. The pictures of a folder that
  differ in size are first brought to one, see `shapes.common`.

  Args:
    kind: one of `TEXTS`.
    source: the name of a data set, or the path of a user's images.
    settings: geometry of the images, from which conditions are then computed.
    data_dir: a folder that is searched first.

  Returns:
    halves: for training, and held out.
    origin: of the images.

  Raises:
    ValueError: the images are missing, damaged or unsuitable. The message is
      one line.
  """
  source = os.path.expanduser(source)
  wanted = None
  if source not in datasets.NAMES and os.path.isdir(source):
    size = settings.load if settings.preprocess == 'resize_and_crop' else None
    wanted = shapes.Wanted(size, settings.channels[1])
  made = []
  for data, train in zip(
    datasets.both(source, data_dir, wanted), (True, False), strict=True
  ):
    target = _resized(data.images, settings, train)
    target = pair_geometry.with_channels(target, settings.channels[1])
    try:
      condition = MAKERS[kind](target, int(not train))
    except ValueError as error:
      raise ValueError(f'{kind}:{source}: {error}') from None
    condition = pair_geometry.with_channels(condition, settings.channels[0])
    names = [f'{data.name}-{k:06d}' for k in range(len(target))]
    made.append(
      pair_files.Half(
        condition, target, names, names, True, (data.labels, data.labels)
      )
    )
    origin = data.origin
  return (made[0], made[1]), origin


def lightness(images: np.ndarray) -> np.ndarray:
  """Returns L* of CIE Lab scaled to levels, uint8 `[N, H, W, 1]`.

  L* = 116 f(Y) - 16 of the luminance Y of linear sRGB (IEC 61966-2-1), where
  f(t) = t^(1/3) above (6/29)^3 and (29/6)^2 t / 3 + 4/29 below. L* 0 to 100
  becomes 0 to 255. Grey images are taken as three equal channels.

  Args:
    images: sRGB levels, uint8 `[N, H, W, 1 or 3]`.
  """
  v = np.arange(256, dtype=np.float64) / 255.0
  linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
  weights = np.array([0.2126, 0.7152, 0.0722])
  if images.shape[-1] == 1:
    weights = np.array([1.0])
  levels = np.empty((*images.shape[:-1], 1), np.uint8)
  for k, image in enumerate(images):
    y = linear[image] @ weights
    f = np.where(
      y > (6 / 29) ** 3, np.cbrt(y), y * (29 / 6) ** 2 / 3.0 + 4.0 / 29.0
    )
    levels[k, ..., 0] = np.round((116.0 * f - 16.0) * 2.55).clip(0, 255)
  return levels


def colourise(images: np.ndarray, seed: int = 0) -> np.ndarray:
  """Returns the lightness of colour images, uint8 `[N, H, W, 1]`.

  Raises:
    ValueError: the images are grey.
  """
  del seed
  if images.shape[-1] != 3:
    raise ValueError('images are grey; colours are needed')
  return lightness(images)


def edges(images: np.ndarray, seed: int = 0) -> np.ndarray:
  """Returns edges as dark lines on white, uint8 `[N, H, W, 1]`.

  A straight edge from black to white gives 0, a uniform area 255.
  """
  del seed
  grey = lightness(images)
  for k, image in enumerate(grey):
    plane = image[..., 0].astype(np.float64)
    # The kernel (1, 2, 1) x (-1, 0, 1) sums a step of 1 to 4.
    across, down = (
      ndimage.sobel(plane, axis=axis, mode='nearest') / 4.0 for axis in (1, 0)
    )
    lines = 255.0 - np.hypot(across, down)
    grey[k, ..., 0] = np.round(lines).clip(0, 255)
  return grey


def super_resolution(
  images: np.ndarray, seed: int = 0, enlarge: str = 'bicubic'
) -> np.ndarray:
  """Returns images without their details, of the same shape.

  Args:
    images: uint8 `[N, H, W, C]`; H and W are multiples of `FACTOR`.
    seed: unused.
    enlarge: 'bicubic' or 'nearest'. Reduction is always bicubic.

  Raises:
    ValueError: a side is no multiple of `FACTOR`.
  """
  del seed
  height, width = images.shape[1:3]
  if height % FACTOR or width % FACTOR:
    raise ValueError(
      f'images of {height}x{width}: sides must be multiples of {FACTOR}'
    )
  if enlarge not in ('bicubic', 'nearest'):
    raise ValueError(f'enlarge {enlarge!r} is neither bicubic nor nearest')
  small = (width // FACTOR, height // FACTOR)
  how = _BICUBIC if enlarge == 'bicubic' else Image.Resampling.NEAREST
  made = np.empty_like(images)
  for k, image in enumerate(images):
    plain = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    again = plain.resize(small, _BICUBIC).resize((width, height), how)
    made[k] = np.asarray(again).reshape(image.shape)
  return made


def inpaint(images: np.ndarray, seed: int = 0) -> np.ndarray:
  """Returns images with a grey hole of half their sides in the middle."""
  del seed
  made = images.copy()
  height, width = images.shape[1:3]
  down, across = round(height * HOLE), round(width * HOLE)
  top, left = (height - down) // 2, (width - across) // 2
  made[:, top : top + down, left : left + across] = HOLE_LEVEL
  return made


def denoise(images: np.ndarray, seed: int = 0) -> np.ndarray:
  """Returns images with Gaussian noise of `NOISE` levels, of a seed."""
  random = np.random.default_rng(seed)
  made = np.empty_like(images)
  for k, image in enumerate(images):
    noise = random.standard_normal(image.shape, np.float32) * NOISE
    made[k] = np.round(image + noise).clip(0, 255)
  return made


MAKERS: dict[str, Callable[..., np.ndarray]] = {
  'colourise': colourise,
  'edges': edges,
  'super_resolution': super_resolution,
  'inpaint': inpaint,
  'denoise': denoise,
}


def _resized(
  images: np.ndarray, settings: pair_settings.Settings, train: bool
) -> np.ndarray:
  wanted = pair_geometry.size(images.shape[1:3], settings, train)
  if settings.preprocess == 'crop' and not train:
    return np.stack([pair_geometry.middle(x, settings.crop) for x in images])
  if images.shape[1:3] == wanted:
    return images
  return np.stack([pair_geometry.resized(image, wanted) for image in images])

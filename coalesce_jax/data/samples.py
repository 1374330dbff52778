"""Checks samples that callers of the Python interface pass.

Lists, PIL pictures, PyTorch tensors and JAX arrays become one array. Values
that JAX traces are not looked at.

Shapes: N samples, H, W, C image, D dimensions of a plain vector.
"""

from collections.abc import Sequence
import os
from typing import Any

import jax
import numpy as np
from PIL import Image

from coalesce_jax.data import decoding
from coalesce_jax.data import ranges


def array(
  samples: Any, image_shape: tuple[int, ...], name: str = 'images'
) -> Any:
  """Returns samples as one array; neither shape nor values are checked.

  Args:
    samples: `[..., N, *image_shape]`: an array, a list of arrays, or a list of
      PIL pictures, which are converted to `image_shape` like files.
    image_shape: shape of one sample.
    name: name of the argument, for messages.

  Returns:
    A NumPy or JAX array. A traced array is returned as it is.

  Raises:
    ValueError: these are no samples. The message is one line that says what to
      pass.
  """
  if isinstance(samples, np.ndarray | jax.Array):
    return samples
  if isinstance(samples, str | os.PathLike):
    raise ValueError(
      f'{name}: a path, not images; pass coalesce_jax.data.images.load('
      f'{os.fspath(samples)!r}, {tuple(image_shape)}).images'
    )
  if hasattr(samples, 'images'):
    raise ValueError(
      f'{name}: {_kind(samples)}, not an array; pass its .images'
    )
  if isinstance(samples, Image.Image):
    raise ValueError(f'{name}: one picture; pass a list of pictures')
  if isinstance(samples, Sequence) and len(samples):
    if all(isinstance(each, Image.Image) for each in samples):
      return _pictures(samples, tuple(image_shape), name)
    shapes = {tuple(getattr(each, 'shape', ())) for each in samples}
    if len(shapes) > 1:
      raise ValueError(
        f'{name}: samples of different shapes, {str(sorted(shapes)):.100}; '
        f'pass one array {_wanted(image_shape)}'
      )
  try:
    if isinstance(samples, Sequence):
      found = np.stack([np.asarray(each) for each in samples])
    else:
      found = np.asarray(samples)
  # Tensors of other libraries raise errors of their own, for example those on
  # a GPU or with gradients.
  except Exception as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(
      f'{name}: {_kind(samples)} is no array ({reason:.200}); pass a NumPy '
      f'array {_wanted(image_shape)}'
    ) from None
  if not found.shape or found.dtype == object:
    raise ValueError(
      f'{name}: {_kind(samples)}, not an array; pass an array '
      f'{_wanted(image_shape)}'
    )
  return found


def checked(
  samples: Any,
  image_shape: tuple[int, ...],
  name: str = 'images',
  *,
  in_range: bool = False,
) -> Any:
  """Returns samples of uint8 or floats after checking their values.

  Args:
    samples: an array of `array`. Images `[H, W, C]` must have the values of
      `ranges.check_signed`. Plain vectors may have any finite numbers.
    image_shape: shape of one sample.
    name: name of the argument, for messages.
    in_range: whether floats of images are known to be in [-1, 1]. They may then
      all be bright, see `ranges.check_bounds`.

  Returns:
    An array of uint8 levels or floats. Whole numbers of vectors become
    float32. A traced array is returned as it is.

  Raises:
    ValueError: values are no numbers, masked, ambiguous, not finite or too
      large for float32. The message is one line that says what to pass.
  """
  image = len(image_shape) == 3
  if isinstance(samples, jax.core.Tracer):
    return samples
  if np.ma.is_masked(samples):
    raise ValueError(f'{name}: values are masked; pass only whole samples')
  if samples.dtype == np.uint8 and image:
    return samples
  host = np.asarray(samples)
  if host.dtype.kind not in 'biuf' and not ranges.is_float(host):
    raise ValueError(
      f'{name}: values are {host.dtype}, not numbers; pass an array '
      f'{_wanted(image_shape)}'
    )
  if host.dtype == np.bool_ and image:
    return np.uint8(255) * host
  if image and host.size:
    check = ranges.check_bounds if in_range else ranges.check_signed
    check(host, name)
  elif host.size:
    ranges.check_finite(host, name)
    if np.abs(host).max() > np.finfo(np.float32).max:
      raise ValueError(
        f'{name}: values up to {np.abs(host).max():.4g} are too large for '
        'float32; use other units'
      )
  # JAX refuses or misreads other floats, such as big-endian ones of files.
  if host.dtype in (np.float16, np.float32, np.float64):
    return samples
  return host.astype(np.float32)


def advice(found: tuple[int, ...], image_shape: tuple[int, ...]) -> str:
  """Returns how samples of another shape become those wanted, or ''.

  Args:
    found: shape of one sample.
    image_shape: the wanted shape of one sample.
  """
  if len(image_shape) != 3 or tuple(found) == tuple(image_shape):
    return ''
  height, width, channels = image_shape
  if found == (channels, height, width):
    return '; channels are first: pass numpy.moveaxis(images, -3, -1)'
  if found == (height, width) and channels == 1:
    return '; the axis of channels is missing: pass images[..., None]'
  if len(found) == 3 and found[:2] == (height, width) and found[2] in (1, 3):
    return (
      '; pass images.mean(-1, keepdims=True)'
      if channels == 1
      else '; pass images.repeat(3, -1)'
    )
  if len(found) == 3 and found[2] in (1, 3, 4):
    return (
      f'; coalesce_jax.data.images.load(PATH, {image_shape}).images converts '
      'files, and lists of PIL pictures are converted too'
    )
  return ''


def _pictures(
  pictures: Sequence[Image.Image], image_shape: tuple[int, ...], name: str
) -> np.ndarray:
  if len(image_shape) != 3:
    raise ValueError(
      f'{name}: pictures, but the samples are vectors {image_shape}; pass an '
      f'array {_wanted(image_shape)}'
    )
  return np.stack(
    [
      decoding.convert(picture, f'{name}[{k}]', image_shape)
      for k, picture in enumerate(pictures)
    ]
  )


def _wanted(image_shape: tuple[int, ...]) -> str:
  sizes = ', '.join(map(str, ('N', *image_shape)))
  if len(image_shape) == 3:
    return f'[{sizes}] of uint8 levels or floats in [-1, 1]'
  return f'[{sizes}] of float32'


def _kind(samples: Any) -> str:
  kind = type(samples)
  top = kind.__module__.partition('.')[0]
  return kind.__name__ if top == 'builtins' else f'{top}.{kind.__name__}'

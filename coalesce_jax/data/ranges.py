"""Decides what the values of images mean; nothing is inferred from one value.

* uint8 values are levels, 0 black and 255 white; booleans are black and white.
* Floats are in [-1, 1], -1 black and 1 white, if at least a hundredth of them
  lies below -0.5.
* Floats of a file are in [0, 1], 0 black and 1 white, if none is negative and
  at least a hundredth is nearly black.

All other values are refused: bright images as floats could be in either range.
Levels of uint8 are never ambiguous. Both ranges may be exceeded by half a
level, since arithmetic rounds.
"""

import numpy as np

LEVELS, SIGNED, UNIT = 'levels', 'signed', 'unit'
# Half a level of 8 bits in [-1, 1].
_ROUNDING = 1.0 / 255.0
# The fraction of values that must be dark, and what is dark in each range.
_FRACTION = 0.01
_DARK_SIGNED = -0.5
_DARK_UNIT = 0.05

_FROM_UNIT = "from [0, 1]: (images * 255).round().astype('uint8')"
_FROM_SIGNED = "from [-1, 1]: ((images + 1) * 127.5).round().astype('uint8')"


def meaning(array: np.ndarray, name: str) -> str:
  """Returns what the values of images mean: `LEVELS`, `SIGNED` or `UNIT`.

  Args:
    array: images of any shape.
    name: the source of the array, for messages.

  Raises:
    ValueError: the values are none of these, are ambiguous or not finite. The
      message is one line with the range found and how to convert.
  """
  if array.dtype in (np.uint8, np.bool_):
    return LEVELS
  if not is_float(array):
    _refuse_others(array, name)
  if not array.size:
    raise ValueError(f'{name}: shape {array.shape} has no values')
  check_finite(array, name)
  low, high = float(array.min()), float(array.max())
  if -1.0 - _ROUNDING <= low and high <= 1.0 + _ROUNDING:
    if np.mean(array < _DARK_SIGNED) >= _FRACTION:
      return SIGNED
    if low >= -_ROUNDING and np.mean(array <= _DARK_UNIT) >= _FRACTION:
      return UNIT
    raise ValueError(
      f'{name}: values are {_found(array)}; too few are dark to tell [-1, 1] '
      f'from [0, 1]; pass levels, {_FROM_SIGNED}, {_FROM_UNIT}'
    )
  if low >= -0.5 and 16 < high <= 255.5:
    advice = "convert levels by images.round().astype('uint8')"
  else:
    advice = 'scale black to -1 and white to 1, and clip'
  raise ValueError(
    f'{name}: values are {_found(array)}, neither uint8 nor floats in '
    f'[-1, 1]; {advice}'
  )


def as_levels(array: np.ndarray, name: str) -> np.ndarray:
  """Converts images of one of the three meanings to uint8, 0 to 255.

  Args:
    array: images of any shape.
    name: the source of the array, for messages.

  Raises:
    ValueError: see `meaning`.
  """
  kind = meaning(array, name)
  if array.dtype == np.uint8:
    return array
  wide = array.astype(np.float32)
  scaled = (wide + 1.0) * 127.5 if kind == SIGNED else wide * 255.0
  return np.round(scaled).clip(0, 255).astype(np.uint8)


def check_signed(array: np.ndarray, name: str) -> None:
  """Checks images of a caller, which must be uint8 or floats in [-1, 1].

  Args:
    array: images of any shape.
    name: name of the argument, for messages.

  Raises:
    ValueError: see `meaning`; or the values are in [0, 1].
  """
  if meaning(array, name) == UNIT:
    raise ValueError(
      f'{name}: values are {_found(array)}, which is [0, 1] where [-1, 1] is '
      'wanted; pass images * 2 - 1'
    )


def check_bounds(array: np.ndarray, name: str) -> None:
  """Checks floats that are known to be in [-1, 1].

  Unlike `check_signed` it takes bright images, whose range nobody could tell.

  Args:
    array: images of any shape.
    name: the source of the array, for messages.

  Raises:
    ValueError: values are not finite, or outside.
  """
  if not is_float(array):
    _refuse_others(array, name)
  check_finite(array, name)
  if array.size and np.abs(array).max() > 1.0 + _ROUNDING:
    raise ValueError(f'{name}: values are {_found(array)}, not in [-1, 1]')


def check_finite(array: np.ndarray, name: str) -> None:
  """Checks that no value is NaN or infinite.

  Args:
    array: numbers, `[N, ...]`.
    name: name of the argument, for messages.

  Raises:
    ValueError: some are. The message has their number and the first row.
  """
  finite = np.isfinite(array)
  if finite.all():
    return
  nan = int(np.isnan(array).sum())
  infinite = int(finite.size - finite.sum()) - nan
  first = int(np.argmin(finite.reshape(len(array), -1).all(1)))
  raise ValueError(
    f'{name}: {nan} NaN and {infinite} infinite values of {array.size}, the '
    f'first in row {first}; remove or mend these rows'
  )


def is_float(array: np.ndarray) -> bool:
  """Returns whether an array has floats; bfloat16 is one for JAX."""
  return array.dtype.kind == 'f' or array.dtype.name == 'bfloat16'


def _found(array: np.ndarray) -> str:
  return f'{array.dtype} from {array.min():.4g} to {array.max():.4g}'


def _refuse_others(array: np.ndarray, name: str) -> None:
  if array.dtype.kind not in 'iu':
    raise ValueError(
      f'{name}: values must be uint8 or floats in [-1, 1], not {array.dtype}'
    )
  low, high = int(array.min()), int(array.max())
  advice = 'scale them to 0..255 and pass uint8'
  if 0 <= low and high <= 1:
    advice = "pass levels, (images * 255).astype('uint8')"
  elif 0 <= low and high <= 255:
    advice = "pass images.astype('uint8')"
  elif 0 <= low and high <= 65535:
    advice = "for 16-bit levels pass (images / 257).round().astype('uint8')"
  raise ValueError(
    f'{name}: values are {array.dtype} from {low} to {high}, not uint8 levels '
    f'0..255; {advice}'
  )

"""Ternary weights as codes of few bits and scales; both ways are exact.

A code is 0 for a weight of zero, 1 for a positive one and 2 for a negative one.
A byte holds several codes as the digits of a number, the lowest digit first.

| packing | base | codes a byte | bits a weight | never occurs |
|---|---|---|---|---|
| '2bit' | 4 | 4 | 2 | the digit 3 |
| 'trits' | 3 | 5 | 1.6 | bytes from 243 |

The weights of a group share one positive and one negative value. A group is the
whole leaf ('layer') or one index of its last axis ('channel').

Shapes: n weights, c groups (1, or the size of the last axis).
"""

import math
from typing import NamedTuple

import numpy as np

from coalesce_jax.core import real_arrays


class Digits(NamedTuple):
  """Says how codes lie in a byte: as `places` digits of base `base`."""

  base: int
  places: int


PACKINGS = {'2bit': Digits(4, 4), 'trits': Digits(3, 5)}


class Packed(NamedTuple):
  """Holds a packed leaf.

  Attributes:
    codes: uint8 `[ceil(n / 4)]` for '2bit', `[ceil(n / 5)]` for 'trits'.
    scales: magnitudes, float32. `[1, c]` where the negative value is minus the
      positive one, else `[2, c]`: first the positive, then the negative ones.
  """

  codes: np.ndarray
  scales: np.ndarray


def pack(weight: np.ndarray, granularity: str, packing: str = '2bit') -> Packed:
  """Packs a dense leaf that is ternary in each group.

  Args:
    weight: a leaf of any shape.
    granularity: 'layer' or 'channel'.
    packing: one of `PACKINGS`.

  Raises:
    ValueError: a group holds more than one positive or negative value, values
      are out of range for float32, or a setting is unknown.
  """
  base, count = digits(packing)
  # Numbers of more digits must not become equal, or 0, by rounding.
  weight = real_arrays.convert(weight, 'weights')
  if not np.isfinite(weight).all():
    raise ValueError('weights are not all finite')
  groups = weight.reshape(-1, group_count(weight.shape, granularity))
  positive = np.maximum(groups, 0.0).max(0, initial=0.0)
  negative = np.maximum(-groups, 0.0).max(0, initial=0.0)
  codes = np.where(groups > 0, 1, np.where(groups < 0, 2, 0)).astype(np.uint8)
  if np.any((groups > 0) & (groups != positive[None])) or np.any(
    (groups < 0) & (groups != -negative[None])
  ):
    raise ValueError('weights are not ternary: more than one value of a sign')
  both = np.stack([positive, negative])
  with np.errstate(over='ignore'):
    stored = both.astype(np.float32)
  if not (np.isfinite(stored).all() and np.array_equal(stored > 0, both > 0)):
    raise ValueError('weights are too large or too small for float32')
  one_sided = (positive == 0.0) | (negative == 0.0)
  symmetric = np.all((positive == negative) | one_sided)
  scales = both.max(0, keepdims=True) if symmetric else both
  flat = np.zeros(count * code_bytes(weight.shape, packing), np.uint8)
  flat[: codes.size] = codes.reshape(-1)
  places = (base ** np.arange(count)).astype(np.uint8)
  packed = (flat.reshape(-1, count) * places).sum(1, dtype=np.uint8)
  return Packed(packed, scales.astype(np.float32))


def unpack(
  packed: Packed,
  shape: tuple[int, ...],
  granularity: str,
  packing: str = '2bit',
) -> np.ndarray:
  """Unpacks a leaf to float32.

  Args:
    packed: untrusted codes and scales.
    shape: shape of the leaf.
    granularity: 'layer' or 'channel'.
    packing: one of `PACKINGS`.

  Returns:
    The leaf, float32 of the given shape.

  Raises:
    ValueError: sizes do not fit the shape, a byte holds something other than
      codes, the padding is not zero, or a setting is unknown.
  """
  base, count = digits(packing)
  codes, scales = packed
  groups = group_count(shape, granularity)
  if codes.shape != (code_bytes(shape, packing),) or scales.shape not in (
    (1, groups),
    (2, groups),
  ):
    raise ValueError(
      f'{codes.shape} codes and {scales.shape} scales do not fit {shape}'
    )
  places = (base ** np.arange(count)).astype(np.uint8)
  flat = (codes[:, None] // places[None] % np.uint8(base)).reshape(-1)
  size = math.prod(shape)
  beyond = codes > base**count - 1
  if np.any(flat == 3) or np.any(beyond) or np.any(flat[size:]):
    raise ValueError('codes are damaged')
  return _dense(flat[:size].reshape(-1, groups), scales[0], scales[-1]).reshape(
    shape
  )


def group_count(shape: tuple[int, ...], granularity: str) -> int:
  """Counts groups: 1 for 'layer', the size of the last axis for 'channel'.

  A leaf without axes is one group.

  Raises:
    ValueError: unknown granularity.
  """
  if granularity not in ('layer', 'channel'):
    raise ValueError(f"granularity {granularity!r} is not 'layer' or 'channel'")
  return shape[-1] if granularity == 'channel' and shape else 1


def digits(packing: str) -> Digits:
  """Looks up a packing by name.

  Raises:
    ValueError: unknown packing.
  """
  if packing not in PACKINGS:
    raise ValueError(f'packing {packing!r} is not one of {tuple(PACKINGS)}')
  return PACKINGS[packing]


def code_bytes(shape: tuple[int, ...], packing: str = '2bit') -> int:
  """Counts the bytes of the codes of a leaf of this shape.

  Raises:
    ValueError: unknown packing.
  """
  return -(-math.prod(shape) // digits(packing).places)


def _dense(
  codes: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> np.ndarray:
  value = np.where(codes == 2, -negative[None], 0.0)
  return np.where(codes == 1, positive[None], value).astype(np.float32)

"""Predicts targets without learning: what a translation has to beat.

* copy: the condition itself.
* mean, median: of the training targets, pixel by pixel. The median is the best
  constant prediction in L1.
* nearest: the target of the training pair with the nearest condition in L2.

Shapes: N training pairs, M held-out pairs, H, W, C image; predictions are
float32 in [-1, 1], `[M, H, W, C]`.
"""

from collections.abc import Callable

import numpy as np

from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pairs

# Values that one block of work holds.
_BLOCK = 1 << 24

Control = Callable[[pairs.Pairs, pairs.Pairs], np.ndarray]


def copy(train: pairs.Pairs, held: pairs.Pairs) -> np.ndarray:
  """Predicts the condition, made grey or coloured like the target.

  Raises:
    ValueError: sizes differ, or channels that do not become each other.
  """
  del train
  made = _signed(
    pair_geometry.with_channels(held.condition, held.target.shape[-1])
  )
  _check_size(made.shape[1:], held)
  return made


def mean(train: pairs.Pairs, held: pairs.Pairs) -> np.ndarray:
  """Predicts the mean training target for every condition.

  Raises:
    ValueError: the targets of the two splits differ in size.
  """
  _check_size(train.target.shape[1:], held)
  step = max(1, _BLOCK // train.target[0].size)
  total = np.zeros(train.target.shape[1:])
  for start in range(0, len(train.target), step):
    total += _signed(train.target[start : start + step]).sum(0, np.float64)
  return _repeated(total / len(train.target), held)


def median(train: pairs.Pairs, held: pairs.Pairs) -> np.ndarray:
  """Predicts the median training target for every condition.

  Raises:
    ValueError: the targets of the two splits differ in size.
  """
  _check_size(train.target.shape[1:], held)
  rows = train.target.reshape(len(train.target), -1)
  step = max(1, _BLOCK // len(rows))
  columns = [
    np.median(_signed(rows[:, start : start + step]), 0)
    for start in range(0, rows.shape[1], step)
  ]
  made = np.concatenate(columns).reshape(train.target.shape[1:])
  return _repeated(made, held)


def nearest(train: pairs.Pairs, held: pairs.Pairs) -> np.ndarray:
  """Predicts the target of the training pair with the nearest condition.

  Raises:
    ValueError: the training images are no pairs, or sizes differ.
  """
  if not train.paired:
    raise ValueError(f'{train.task}: training images without pairs')
  if train.condition.shape[1:] != held.condition.shape[1:]:
    raise ValueError(
      f'{train.task}: conditions of {train.condition.shape[1:]} for training '
      f'and {held.condition.shape[1:]} held out'
    )
  _check_size(train.target.shape[1:], held)
  count = len(held.condition)
  best, chosen = np.full(count, np.inf), np.zeros(count, int)
  wanted = _signed(held.condition).reshape(count, -1)
  step = max(1, _BLOCK // wanted.shape[1])
  for start in range(0, len(train.condition), step):
    block = _signed(train.condition[start : start + step])
    block = block.reshape(len(block), -1)
    # |a - b|^2 without |a|^2, which is the same for all b.
    squared = np.square(block).sum(1, dtype=np.float64)[None]
    distances = squared - 2.0 * (wanted @ block.T).astype(np.float64)
    at = distances.argmin(1)
    found = distances[np.arange(count), at]
    closer = found < best
    best[closer], chosen[closer] = found[closer], start + at[closer]
  return _signed(train.target[chosen])


ALL: dict[str, Control] = {
  'copy': copy, 'mean': mean, 'median': median, 'nearest': nearest,
}  # fmt: skip


def predictions(train: pairs.Pairs, held: pairs.Pairs) -> dict[str, np.ndarray]:
  """Returns the predictions of every control that the pairs allow, by name.

  Args:
    train: pairs for training.
    held: held-out pairs.

  Raises:
    ValueError: the held-out images are no pairs.
  """
  if not held.paired:
    raise ValueError(f'{held.task}: held-out images without pairs')
  made = {}
  for name, control in ALL.items():
    try:
      made[name] = control(train, held)
    except ValueError:
      continue
  return made


def _signed(images: np.ndarray) -> np.ndarray:
  if images.dtype == np.uint8:
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
  return images.astype(np.float32)


def _repeated(image: np.ndarray, held: pairs.Pairs) -> np.ndarray:
  shape = (len(held.target), *image.shape)
  return np.broadcast_to(image.astype(np.float32), shape)


def _check_size(found: tuple[int, ...], held: pairs.Pairs) -> None:
  if tuple(found) != held.target.shape[1:]:
    raise ValueError(
      f'{held.task}: predictions of {tuple(found)} for targets of '
      f'{held.target.shape[1:]}'
    )

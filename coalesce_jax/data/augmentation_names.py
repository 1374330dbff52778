"""Reads the text that names augmentations. It needs no JAX.

'translation:0.07,flip' names two augmentations, the first with its ratio.
"""

import math

KINDS = ('translation', 'cutout', 'flip')
# The augmentations with a `ratio`.
SIZED = ('translation', 'cutout')


def parse(names: str) -> list[tuple[str, float | None]]:
  """Returns the augmentations that a text names, with their ratios.

  Args:
    names: see `augmentation.build`.

  Raises:
    ValueError: a name is unknown, a ratio is not in (0, 1), or the
      augmentation takes no ratio.
  """
  return [_kind(name.strip()) for name in names.split(',') if name.strip()]


def _kind(name: str) -> tuple[str, float | None]:
  kind, colon, ratio = name.partition(':')
  if kind not in KINDS:
    raise ValueError(f'augmentation {kind!r} is not one of {sorted(KINDS)}')
  if not colon:
    return kind, None
  try:
    number = float(ratio)
  except ValueError:
    number = math.nan
  if kind not in SIZED or not 0 < number < 1:
    raise ValueError(
      f'augmentation {name!r}: only {" and ".join(SIZED)} take a ratio, which '
      'must be between 0 and 1'
    )
  return kind, number

"""Splits examples by a hash of their names, so that a split never moves.

An example is held out because of its own name alone. Adding, removing or
sorting others changes nothing.
"""

from collections.abc import Sequence
import hashlib

import numpy as np


def position(name: str, salt: str = '') -> float:
  """Maps a name to a number in [0, 1), which looks uniform.

  Args:
    name: the name.
    salt: another salt gives an independent number.
  """
  digest = hashlib.sha256(f'{salt}/{name}'.encode(errors='surrogateescape'))
  return int.from_bytes(digest.digest()[:6], 'big') / 2.0**48


def held_out(names: Sequence[str], fraction: float) -> np.ndarray:
  """Returns which examples are held out, booleans `[N]`.

  Equal names lie on one side. If the rule holds out none, the names with the
  lowest number are held out; if it holds out all, those with the highest are
  kept.

  Args:
    names: a name for each of N examples.
    fraction: the expected fraction of names that are held out.

  Raises:
    ValueError: there are fewer than two different names.
  """
  at = np.array([position(name) for name in names])
  if len(set(names)) < 2:
    raise ValueError(
      f'{len(set(names))} different names cannot be split for training and '
      'held-out tests'
    )
  held = at < fraction
  if not held.any():
    held = at == at.min()
  if held.all():
    held = at < at.max()
  return held

"""Class splits over nodes and few local samples.

A split gives each node its classes and the target its own. The overlapping
and disjoint presets are those of Dedeoglu et al.,
https://arxiv.org/abs/2101.09225.
"""

import re
from typing import NamedTuple

import numpy as np

# Below this many local samples a critic has nothing to learn from.
MIN_LOCAL = 8

PRESETS = {
  'overlapping': '0-4|5-9->0-9',
  'disjoint': '0-3|4-7->8-9',
  'one_class': '0|1|2|3|4|5|6|7|8|9->0-9',
}


class Split(NamedTuple):
  """Classes of every node and of the target.

  Attributes:
    nodes: K tuples of classes.
    target: classes of the target distribution.
  """

  nodes: tuple[tuple[int, ...], ...]
  target: tuple[int, ...]


def parse(text: str) -> Split:
  """A preset's name or ``'0-4|5-9->0-9'``: nodes by ``|``, target after ``->``.

  Raises:
    ValueError: neither.
  """
  nodes, arrow, target = PRESETS.get(text, text).partition('->')
  if not arrow:
    raise ValueError(
      f"split {text!r} is not one of {sorted(PRESETS)} or like '0-4|5-9->0-9'"
    )
  return Split(
    tuple(_classes(part, text) for part in nodes.split('|')),
    _classes(target, text),
  )


def _classes(part: str, text: str) -> tuple[int, ...]:
  found: list[int] = []
  for item in part.split(','):
    match = re.fullmatch(r'\s*(\d{1,4})(?:-(\d{1,4}))?\s*', item)
    if not match:
      raise ValueError(f'split {text!r}: {item!r} is no class or range')
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low:
      raise ValueError(f'split {text!r}: range {item!r} is empty')
    found.extend(range(low, high + 1))
  if len(set(found)) != len(found):
    raise ValueError(f'split {text!r}: a class occurs twice in {part!r}')
  return tuple(found)


def indices(labels: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
  """Rows whose label is one of `classes`.

  Raises:
    ValueError: a class has no row.
  """
  for k in classes:
    if not np.any(labels == k):
      raise ValueError(f'no samples of class {k}')
  return np.flatnonzero(np.isin(labels, classes))


def few(
  seed: int,
  labels: np.ndarray,
  classes: tuple[int, ...],
  n: int,
  balanced: bool = False,
) -> np.ndarray:
  """Draws `n` local samples without replacement, uniformly as in the paper.

  The first 8 of 100 samples are the 8 samples of the same seed, balanced or
  not.

  Args:
    seed: of the draw.
    labels: `[N]`.
    classes: of the target.
    n: at least `MIN_LOCAL`.
    balanced: as many of each class as there are, to within one; rounds of one
      sample a class, each round in a random order of classes.

  Returns:
    `[n]` row numbers.

  Raises:
    ValueError: too few asked for, or too few there.
  """
  if n < MIN_LOCAL:
    raise ValueError(f'{n} local samples, at least {MIN_LOCAL} are needed')
  rows = indices(labels, classes)
  if n > len(rows):
    raise ValueError(f'{n} local samples asked for, {len(rows)} are there')
  order = np.random.default_rng(seed).permutation(rows)
  if balanced:
    rounds = np.zeros(len(order), int)
    for k in classes:
      mine = labels[order] == k
      rounds[mine] = np.arange(mine.sum())
    order = order[np.argsort(rounds, kind='stable')]
  return order[:n]

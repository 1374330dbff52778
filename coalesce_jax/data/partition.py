"""Splits classes over nodes and selects few local samples.

A split assigns classes to each node and to the target. The presets
`overlapping` and `disjoint` are those of Dedeoglu et al.,
https://arxiv.org/abs/2101.09225.

Shapes: N samples, K nodes.
"""

from collections.abc import Mapping
import re
from typing import NamedTuple

import numpy as np

# A critic needs at least so many local samples.
MIN_LOCAL = 8

PRESETS = {
  'overlapping': '0-4|5-9->0-9',
  'disjoint': '0-3|4-7->8-9',
  'one_class': '0|1|2|3|4|5|6|7|8|9->0-9',
}


class Split(NamedTuple):
  """The classes of every node and of the target.

  Attributes:
    nodes: K tuples of classes, one per node.
    target: classes of the target distribution.
  """

  nodes: tuple[tuple[int, ...], ...]
  target: tuple[int, ...]


def parse(text: str, names: Mapping[str, int] | None = None) -> Split:
  """Parses a split.

  Args:
    text: the name of a preset, or for example ``'0-4|5-9->0-9'``: the classes
      of each node, separated by ``|``, then those of the target after ``->``.
    names: label by name of the class. Names may stand for labels, as in
      ``'cat|dog->cat,dog'``, and come before numbers.

  Raises:
    ValueError: the text is neither, or a class occurs twice in a node.
  """
  nodes, arrow, target = PRESETS.get(text, text).partition('->')
  if not arrow:
    raise ValueError(
      f"split {text!r} is not one of {sorted(PRESETS)} or like '0-4|5-9->0-9'"
    )
  known = names or {}
  return Split(
    tuple(_classes(node, text, known) for node in nodes.split('|')),
    _classes(target, text, known),
  )


def _classes(
  listed: str, text: str, names: Mapping[str, int]
) -> tuple[int, ...]:
  found: list[int] = []
  for item in listed.split(','):
    if item.strip() in names:
      found.append(names[item.strip()])
      continue
    match = re.fullmatch(r'\s*(\d{1,4})(?:-(\d{1,4}))?\s*', item)
    if not match:
      of = f' of {", ".join(map(repr, names))}'[:200] if names else ''
      raise ValueError(
        f'split {text!r}: {item!r} is neither a class{of} nor a range'
      )
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low:
      raise ValueError(f'split {text!r}: range {item!r} is empty')
    found.extend(range(low, high + 1))
  if len(set(found)) != len(found):
    raise ValueError(f'split {text!r}: a class occurs twice in {listed!r}')
  return tuple(found)


def indices(labels: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
  """Returns the row numbers of all samples of the given classes.

  Args:
    labels: `[N]`.
    classes: the classes.

  Raises:
    ValueError: a class has no sample.
  """
  for k in classes:
    if not np.any(labels == k):
      there = ', '.join(map(str, np.unique(labels)[:20]))
      raise ValueError(f'no samples of class {k}; there are {there}')
  return np.flatnonzero(np.isin(labels, classes))


def few(
  seed: int,
  labels: np.ndarray,
  classes: tuple[int, ...],
  n: int,
  balanced: bool = False,
) -> np.ndarray:
  """Selects `n` local samples at random, without replacement.

  For one seed, a smaller selection is the beginning of a larger one.

  Args:
    seed: seed of the selection.
    labels: `[N]`.
    classes: classes of the target.
    n: number of samples, at least `MIN_LOCAL`.
    balanced: whether the classes get equal numbers of samples, to within one.
      Samples are then selected in rounds of one sample per class, each round in
      a random order of classes. Otherwise selection is uniform, as in the
      paper.

  Returns:
    Row numbers, `[n]`.

  Raises:
    ValueError: `n` is too small, or there are fewer samples.
  """
  if n < MIN_LOCAL:
    raise ValueError(f'{n} local samples, at least {MIN_LOCAL} are needed')
  rows = indices(labels, classes)
  if n > len(rows):
    raise ValueError(
      f'{n} local samples requested, but only {len(rows)} are there'
    )
  order = np.random.default_rng(seed).permutation(rows)
  if balanced:
    rounds = np.zeros(len(order), int)
    for k in classes:
      mine = labels[order] == k
      rounds[mine] = np.arange(mine.sum())
    order = order[np.argsort(rounds, kind='stable')]
  return order[:n]

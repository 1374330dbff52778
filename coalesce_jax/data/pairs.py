"""Loads image pairs for translation: a condition and its target.

A source is the name of a task, a derived task such as 'colourise:cifar10', or
the path of a user's folder or .npz file. The layout of a folder is found by
looking, see `pair_layouts`.

Shapes: N conditions, M targets (M = N if paired), H, W, C image; uint8 levels
0 to 255, or float32 in [-1, 1].
"""

import collections
from collections.abc import Mapping
import os
from typing import NamedTuple

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import arrays
from coalesce_jax.data import derived_pairs
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_layouts
from coalesce_jax.data import pair_names
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pair_tasks
from coalesce_jax.data import rendering

NAMES = pair_names.TASKS
DERIVED = pair_names.DERIVED
TRAIN, HELD_OUT = 'train', 'held_out'


class Pairs(NamedTuple):
  """One split of image pairs.

  Attributes:
    task: name of the task, or of the user's folder.
    split: 'train' or 'held_out'.
    condition: `[N, H, W, C]`, uint8 or float32 in [-1, 1].
    target: `[M, H, W, D]`, likewise.
    names: of the conditions.
    target_names: of the targets; equal to `names` if paired.
    paired: whether row k of `target` belongs to row k of `condition`.
    licence: name of the licence; '' if unknown.
    attribution: what is to be named wherever a picture is shown; or ''.
    origin: the package, folder or file that holds the data.
    layout: how the images are stored or derived, in a few words.
    labels: classes of conditions and of targets, int32 `[N]` and `[M]`, where
      they are known.
    notes: numbers that a user should know, by what they count.
    sizes: number of a user's files by their own size, the commonest.
  """

  task: str
  split: str
  condition: np.ndarray
  target: np.ndarray
  names: tuple[str, ...]
  target_names: tuple[str, ...]
  paired: bool
  licence: str = ''
  attribution: str = ''
  origin: str = ''
  layout: str = ''
  labels: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
  notes: Mapping[str, int] = {}
  sizes: Mapping[str, int] = {}


def is_source(name: str) -> bool:
  """Returns whether a name is that of a task or of a derived task."""
  return name in NAMES or name.partition(':')[0] in DERIVED and ':' in name


def are_in(source: str) -> bool:
  """Returns whether a name or path clearly has image pairs.

  Args:
    source: a name, or the path of a folder or file.

  Raises:
    ValueError: a folder cannot be read.
  """
  if is_source(source):
    return True
  if os.path.isdir(source):
    return pair_layouts.is_clear(source)
  if source.lower().endswith('.npz') and os.path.isfile(source):
    inside = set(arrays.names(source))
    return any(set(keys) <= inside for keys in pair_files.KEYS)
  return False


def load(
  source: str,
  settings: pair_settings.Settings | None = None,
  data_dir: str | None = None,
  progress: rendering.Progress | None = None,
) -> tuple[Pairs, Pairs]:
  """Loads the pairs for training and those held out.

  Args:
    source: one of `NAMES`, one of `DERIVED` with ':' and a data set or folder,
      or the path of a folder or .npz file of pairs.
    settings: direction, geometry and channels.
    data_dir: a folder that is searched first for packages and data sets.
    progress: shows how many pictures are rendered, see `runs.progress.steps`.

  Raises:
    ValueError: the source is unknown, missing or damaged. The message is one
      line that says what to do.
  """
  settings = settings or pair_settings.Settings()
  kind, colon, rest = source.partition(':')
  halves: tuple[pair_files.Half, pair_files.Half]
  terms = ('', '')
  if source in NAMES:
    task, name = pair_tasks.TASKS[source], source
    halves = pair_tasks.load(source, settings, data_dir, progress)
    origin, layout, terms = task.package, task.text, task.terms
  elif colon and kind in DERIVED:
    halves, origin = derived_pairs.load(kind, rest, settings, data_dir)
    name, layout = source, derived_pairs.TEXTS[kind]
  elif os.sep in source or os.path.exists(source):
    halves, layout = pair_files.load(source, settings)
    origin = files.shown(source)
    name = files.shown(os.path.basename(os.path.realpath(source)))
  else:
    raise ValueError(
      f'pairs {source!r}: not one of {", ".join(NAMES)}, nor '
      f'{", ".join(f"{kind}:DATA" for kind in DERIVED)}, nor a folder or .npz '
      'file'
    )
  if settings.direction == 'BtoA':
    halves = (_swapped(halves[0]), _swapped(halves[1]))
  train, held = (
    Pairs(
      name, split, half.condition, half.target, tuple(half.names),
      tuple(half.target_names), half.paired, *terms, origin, layout,
      half.labels, half.notes, half.sizes,
    )
    for split, half in zip((TRAIN, HELD_OUT), halves, strict=True)
  )  # fmt: skip
  _check(train, held, settings)
  return train, held


def summary(train: Pairs, held: Pairs) -> dict[str, object]:
  """Describes both splits as JSON values."""
  row: dict[str, object] = {
    'dataset': train.task, 'origin': train.origin, 'layout': train.layout,
    'paired': train.paired,
  }  # fmt: skip
  for each in (train, held):
    row[each.split] = {
      'condition': list(each.condition.shape),
      'target': list(each.target.shape),
      'paired': each.paired,
    }
  sizes = collections.Counter(train.sizes) + collections.Counter(held.sizes)
  notes = collections.Counter(train.notes) + collections.Counter(held.notes)
  return row | {
    'file_sizes': dict(sizes),
    'notes': dict(notes),
    'licence': train.licence or None,
    'attribution': train.attribution or None,
  }


def _swapped(half: pair_files.Half) -> pair_files.Half:
  return half._replace(
    condition=half.target,
    target=half.condition,
    names=half.target_names,
    target_names=half.names,
    labels=half.labels[::-1],
  )


def _check(train: Pairs, held: Pairs, settings: pair_settings.Settings) -> None:
  """Checks that crops fit into the images for training.

  Raises:
    ValueError: they do not.
  """
  for side in ('condition', 'target'):
    pair_geometry.check_crop(
      f'{train.task}: {side}', getattr(train, side).shape[1:3], settings
    )
    one, other = getattr(train, side), getattr(held, side)
    if one.shape[3] != other.shape[3]:
      raise ValueError(
        f'{train.task}: {side} has {one.shape[3]} channels for training and '
        f'{other.shape[3]} held out; make all of them grey, or none'
      )

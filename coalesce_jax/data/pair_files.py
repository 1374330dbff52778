"""Reads a user's image pairs from a folder or an .npz file.

Shapes: N conditions, M targets (M = N if paired), H, W, C image; uint8 levels
0 to 255, or float32 in [-1, 1].
"""

import collections
from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import NamedTuple

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import arrays
from coalesce_jax.data import decoding
from coalesce_jax.data import file_kinds
from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_layouts
from coalesce_jax.data import pair_settings
from coalesce_jax.data import ranges
from coalesce_jax.data import splits

MAX_BYTES = 1 << 31
MAX_CHANNELS = 64
_MOST_SIZES = 5
# Names of the arrays of an .npz file.
KEYS = (('A', 'B'), ('condition', 'target'))


class Half(NamedTuple):
  """One split of image pairs, see `pairs.Pairs`.

  Attributes:
    condition: `[N, H, W, C]`.
    target: `[M, H, W, D]`.
    names: of the conditions.
    target_names: of the targets.
    paired: whether rows belong together.
    labels: classes of conditions and targets, or None.
    notes: numbers that a user should know, by what they count.
    sizes: number of files by their own size, such as '256x512'; the commonest.
  """

  condition: np.ndarray
  target: np.ndarray
  names: list[str]
  target_names: list[str]
  paired: bool
  labels: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
  notes: Mapping[str, int] = {}
  sizes: Mapping[str, int] = {}


def load(
  path: str, settings: pair_settings.Settings
) -> tuple[tuple[Half, Half], str]:
  """Loads both splits of a folder or .npz file; A comes first.

  The direction only tells which channels belong to A.

  Args:
    path: a folder, see `pair_layouts.find`, or an .npz file with arrays 'A' and
      'B', or 'condition' and 'target'.
    settings: layout, geometry and channels.

  Returns:
    halves: for training, and held out.
    layout: how the images are stored, in a few words.

  Raises:
    ValueError: files are missing, damaged or do not match. The message is one
      line.
  """
  if not file_kinds.is_folder(path):
    return _of_npz(path, settings), 'aligned: arrays of an .npz file'
  layout = pair_layouts.find(path, settings.layout)
  logging.info('%s: %s', files.shown(path), layout.text)
  halves = [
    _of_files(layout, split, settings, train)
    for split, train in ((layout.train, True), (layout.held, False))
  ]
  return (halves[0], halves[1]), layout.text


def _of_files(
  layout: pair_layouts.Layout,
  split: tuple[pair_layouts.Domain, pair_layouts.Domain],
  settings: pair_settings.Settings,
  train: bool,
) -> Half:
  a, b = split
  read = list(a.paths) if layout.side_by_side else [*a.paths, *b.paths]
  headers = dict(zip(read, map(decoding.header, read), strict=True))
  _check_sizes(layout, split, headers)
  made = []
  for k, domain in enumerate(split):
    found = [headers[path] for path in domain.paths]
    channels = settings.channels[k] or _channels(found)
    images: list[np.ndarray] = []
    total = 0
    for path, head in zip(domain.paths, found, strict=True):
      image = decoding.decode(path)
      if layout.side_by_side:
        width = head.width // 2
        image = image[:, k * width : (k + 1) * width]
      image = pair_geometry.with_channels(image, channels)
      size = pair_geometry.size(image.shape[:2], settings, train)
      images.append(pair_geometry.resized(image, size))
      total += images[-1].nbytes
      if total > MAX_BYTES:
        raise ValueError(
          f'{files.shown(path.parent)}: more than {MAX_BYTES} bytes of images; '
          'choose a smaller size'
        )
    made.append(
      pair_geometry.stacked(
        images, [files.shown(p) for p in domain.paths], settings, train
      )
    )
  paired = layout.kind == pair_layouts.ALIGNED
  found = list(headers.values())
  return Half(
    made[0], made[1], a.names, b.names, paired, notes=_notes(found),
    sizes=_sizes(found),
  )  # fmt: skip


def _check_sizes(
  layout: pair_layouts.Layout,
  split: tuple[pair_layouts.Domain, pair_layouts.Domain],
  headers: Mapping[pathlib.Path, decoding.Header],
) -> None:
  """Checks that the halves of each pair have one size.

  Raises:
    ValueError: they have not.
  """
  if layout.kind != pair_layouts.ALIGNED:
    return
  for one, other in zip(split[0].paths, split[1].paths, strict=True):
    head, its = headers[one], headers[other]
    if layout.side_by_side and (head.width % 2 or head.width < 2):
      raise ValueError(
        f'{files.shown(one)}: {head.width} pixels wide, which two images side '
        f'by side do not fill; {pair_layouts.WANTED}'
      )
    if (head.height, head.width) != (its.height, its.width):
      raise ValueError(
        f'{files.shown(one)}: {head.height}x{head.width}, but its partner '
        f'{files.shown(other)} is {its.height}x{its.width}; resize one of them'
      )


def _sizes(headers: Sequence[decoding.Header]) -> dict[str, int]:
  counts = collections.Counter(f'{h.height}x{h.width}' for h in headers)
  return dict(counts.most_common(_MOST_SIZES))


def _notes(headers: Sequence[decoding.Header]) -> dict[str, int]:
  counts = {
    'with_transparency_on_white': sum(h.alpha for h in headers),
    'reduced_to_8_bits': sum(h.deep for h in headers),
    'first_of_several_frames': sum(h.frames for h in headers),
  }
  return {name: count for name, count in counts.items() if count}


def _channels(headers: Sequence[decoding.Header]) -> int:
  return 1 if all(head.grey for head in headers) else 3


def _of_npz(path: str, settings: pair_settings.Settings) -> tuple[Half, Half]:
  name = files.shown(path)
  if file_kinds.array_kind(path) != 'npz':
    raise ValueError(f'{name}: pairs are in a folder or an .npz file')
  inside = arrays.names(path)
  keys = next((k for k in KEYS if set(k) <= set(inside)), None)
  if keys is None:
    raise ValueError(
      f"{name}: no arrays 'A' and 'B', nor 'condition' and 'target', among "
      f'{str(inside):.100}; rename them'
    )
  found = arrays.entries(path, keys, MAX_BYTES)
  a, b = (_values(found[key], f'{name}: {key}') for key in keys)
  if len(a) != len(b):
    raise ValueError(
      f'{name}: {len(a)} images {keys[0]} and {len(b)} images {keys[1]}; pairs '
      'need as many of both'
    )
  if a.shape[1:3] != b.shape[1:3]:
    raise ValueError(
      f'{name}: {keys[0]} has images of {a.shape[1]}x{a.shape[2]}, {keys[1]} '
      f'of {b.shape[1]}x{b.shape[2]}'
    )
  if len(a) < 2:
    raise ValueError(f'{name}: one pair cannot be split; add more')
  names = [f'{os.path.splitext(os.path.basename(path))[0]}-{k:06d}'
           for k in range(len(a))]  # fmt: skip
  held = splits.held_out([f'{k:06d}' for k in range(len(a))],
                         pair_layouts.HELD_OUT)  # fmt: skip
  halves = []
  for rows, train in ((~held, True), (held, False)):
    some = [n for n, row in zip(names, rows, strict=True) if row]
    made = [
      pair_geometry.stacked(
        [
          pair_geometry.resized(
            image, pair_geometry.size(image.shape[:2], settings, train)
          )
          for image in domain[rows]
        ],
        some, settings, train,
      )
      for domain in (a, b)
    ]  # fmt: skip
    halves.append(Half(made[0], made[1], some, some, True))
  return halves[0], halves[1]


def _values(array: np.ndarray, name: str) -> np.ndarray:
  """Returns images of any number of channels, uint8 or float32 in [-1, 1].

  uint16 keeps its precision: 0 becomes -1 and 65535 becomes 1.

  Raises:
    ValueError: the shape or the values are others.
  """
  if array.ndim == 3:
    array = array[..., None]
  if array.ndim != 4 or not array.size or array.shape[3] > MAX_CHANNELS:
    raise ValueError(
      f'{name}: shape {array.shape} is not [N, H, W] or [N, H, W, C] with at '
      f'most {MAX_CHANNELS} channels'
    )
  if array.shape[1] in (1, 3) and array.shape[2] == array.shape[3] > 3:
    raise ValueError(
      f'{name}: shape {array.shape} has its channels first; save '
      'images.transpose(0, 2, 3, 1)'
    )
  if array.dtype == np.uint16:
    return array.astype(np.float32) / 32767.5 - 1.0
  kind = ranges.meaning(array, name)
  if kind == ranges.LEVELS:
    return array if array.dtype == np.uint8 else np.uint8(255) * array
  wide = array.astype(np.float32)
  return (wide if kind == ranges.SIGNED else wide * 2.0 - 1.0).clip(-1.0, 1.0)

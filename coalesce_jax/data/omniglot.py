"""Reads small Omniglot: characters of eight alphabets, each drawn by 20 people.

Lake, Salakhutdinov and Tenenbaum, Science 350 (2015). The small background sets
have 242 of its 964 background characters. The official one-shot runs are 20
tasks with 20 characters of other alphabets: one image of each to learn from,
one to classify.

Shapes: N images, S side; uint8, 0 (ink) to 255 (paper).
"""

from collections.abc import Sequence
import io
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import decoding
from coalesce_jax.data import download
from coalesce_jax.data import tasks
from coalesce_jax.data import zips

SIDE = 28
ROTATIONS = 4
DRAWERS = 20
# Drawers 1 to 10 and 11 to 20.
GROUPS = 2
TRAIN = (
  'Balinese', 'Early_Aramaic', 'Greek', 'Latin', 'Japanese_(katakana)',
  'Sanskrit',
)  # fmt: skip
TEST = ('Korean', 'Tagalog')
_SOURCE_SIDE = 105
_RUNS, _RUN_WAYS = 20, 20
# fmt: off
PACKAGE = download.Package(
  files={
    'images_background_small1.zip':
      'f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4',
    'images_background_small2.zip':
      '3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f',
    'all_runs.zip':
      '437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325',
  },
  client=(),
  archive='',
  archive_sha256='',
  debian='',
  advice='download images_background_small1.zip, images_background_small2.zip '
         'and all_runs.zip of github.com/brendenlake/omniglot, folder python',
)
# fmt: on


class Characters(NamedTuple):
  """Images of characters.

  Attributes:
    images: uint8 `[N, S, S, 1]`.
    alphabets: names of alphabets.
    alphabet: index of the alphabet of each image, `[N]`.
    character: number of the character, from 0 over all alphabets, `[N]`.
    drawer: number of the person, 0 to 19, `[N]`.
  """

  images: np.ndarray
  alphabets: tuple[str, ...]
  alphabet: np.ndarray
  character: np.ndarray
  drawer: np.ndarray


class Run(NamedTuple):
  """One official one-shot task.

  Attributes:
    support: an image of each of 20 characters, uint8 `[20, S, S, 1]`.
    query: images to classify, uint8 `[20, S, S, 1]`.
    answers: index of the character of each of them, `[20]`.
  """

  support: np.ndarray
  query: np.ndarray
  answers: np.ndarray


def find(data_dir: str | None = None) -> pathlib.Path:
  """Finds the folder with the archives, which must have their known SHA-256.

  Args:
    data_dir: a folder that is searched first, then its sub-folder 'omniglot'.

  Raises:
    ValueError: an archive is missing or has another SHA-256; one line.
  """
  folder = download.find('omniglot', data_dir, PACKAGE)
  if folder is None:
    raise ValueError(
      f'omniglot: not found; {PACKAGE.advice}, then pass the folder as '
      'data_dir or COALESCE_DATA'
    )
  return folder


def characters(folder: str | os.PathLike[str], side: int = SIDE) -> Characters:
  """Reads the characters of both small background sets.

  Args:
    folder: folder of the two archives.
    side: S.

  Raises:
    ValueError: an archive or an image is missing or damaged; one line.
  """
  found: dict[tuple[str, str, int], bytes] = {}
  for name in list(PACKAGE.files)[:2]:
    # Alphabets that are in both archives have the same images in both.
    pattern = r'[^/]+/[\w()-]+/character\d\d/\d{4}_\d\d\.png'
    for path, data in zips.read(pathlib.Path(folder) / name, pattern).items():
      _, alphabet, character, file = path.split('/')
      found[alphabet, character, int(file[5:7])] = data
  if not found:
    raise ValueError(f'{files.shown(folder)}: no characters in its archives')
  keys = sorted(found)
  alphabets = tuple(sorted({key[0] for key in keys}))
  numbers = {k: i for i, k in enumerate(sorted({key[:2] for key in keys}))}
  images = np.stack([_image(found[k], '/'.join(k[:2]), side) for k in keys])
  return Characters(
    images, alphabets, np.array([alphabets.index(key[0]) for key in keys]),
    np.array([numbers[key[:2]] for key in keys]),
    np.array([key[2] - 1 for key in keys]),
  )  # fmt: skip


def nodes(
  data: Characters, alphabets: Sequence[str]
) -> tuple[np.ndarray, list[tasks.Owned], list[tuple[str, int, int]]]:
  """Makes a node of each alphabet, group of drawers and rotation.

  A character has ten images at a node. A rotated character is another one.

  Args:
    data: the characters.
    alphabets: names of alphabets.

  Returns:
    Images in four rotations, uint8 `[4 N, S, S, 1]`; the rows of each class of
    each node, see `tasks.nodes`; and of each node its alphabet, group and
    rotation in quarter turns.

  Raises:
    ValueError: there is no such alphabet.
  """
  images = np.concatenate(
    [np.rot90(data.images, turn, (1, 2)) for turn in range(ROTATIONS)]
  )
  owned: list[tasks.Owned] = []
  names = []
  for name in alphabets:
    if name not in data.alphabets:
      raise ValueError(
        f'omniglot: no alphabet {name!r}, there are {", ".join(data.alphabets)}'
      )
    mine = data.alphabet == data.alphabets.index(name)
    for group in range(GROUPS):
      some = mine & (data.drawer // (DRAWERS // GROUPS) == group)
      rows = tasks.by_class(data.character, np.flatnonzero(some))
      for turn in range(ROTATIONS):
        shift = turn * len(data.images)
        owned.append({k: row + shift for k, row in rows.items()})
        names.append((name, group, turn))
  return images, owned, names


def runs(folder: str | os.PathLike[str], side: int = SIDE) -> list[Run]:
  """Reads the 20 official one-shot runs.

  Args:
    folder: folder of the archive.
    side: S.

  Raises:
    ValueError: the archive is missing or damaged; one line.
  """
  archive = pathlib.Path(folder) / 'all_runs.zip'
  pattern = r'run\d\d/((test/item|training/class)\d\d\.png|class_labels\.txt)'
  found, made = zips.read(archive, pattern), []
  numbers = range(1, _RUN_WAYS + 1)
  for run in range(1, _RUNS + 1):
    start = f'run{run:02d}'
    try:
      support, query = (
        np.stack([
          _image(found[f'{start}/{kind}{k:02d}.png'], start, side)
          for k in numbers
        ])
        for kind in ('training/class', 'test/item')
      )  # fmt: skip
      text = found[f'{start}/class_labels.txt'].decode('ascii')
    except (KeyError, UnicodeDecodeError) as error:
      raise ValueError(f'{archive.name}: {start}: no {error}') from None
    pairs = dict(
      re.findall(r'test/item(\d\d)\.png +\S*training/class(\d\d)\.png', text)
    )
    answers = [int(pairs.get(f'{k:02d}', 0)) - 1 for k in numbers]
    if not set(answers) <= set(range(_RUN_WAYS)):
      raise ValueError(f'{archive.name}: {start}: class_labels.txt is damaged')
    made.append(Run(support, query, np.array(answers)))
  return made


def _image(data: bytes, name: str, side: int) -> np.ndarray:
  """Decodes an image of Omniglot, whose size is checked first."""
  try:
    with Image.open(io.BytesIO(data), formats=('PNG',)) as image:
      if image.size != (_SOURCE_SIDE, _SOURCE_SIDE):
        raise ValueError(
          f'omniglot: {name}: an image of {image.size}, not 105 x 105'
        )
      return decoding.convert(image, name, (side, side, 1))
  except (OSError, Image.DecompressionBombError):
    raise ValueError(f'omniglot: {name}: not a PNG image') from None

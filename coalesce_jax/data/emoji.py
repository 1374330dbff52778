"""Makes pairs of emoji: line art and colour, two styles, two vendors.

Skin tones are left out. Every pair has a group, which variants of its figure
and equal images share, see `emoji_figures`.

Shapes: N pairs, S side; uint8 `[N, S, S, 3]`, on white.
"""

import collections
import csv
import io
import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from coalesce_jax.core import files
from coalesce_jax.data import archives
from coalesce_jax.data import decoding
from coalesce_jax.data import emoji_figures
from coalesce_jax.data import kept_images
from coalesce_jax.data import pair_packages
from coalesce_jax.data import rendering

# The side at which pictures are compared.
SIDE = 64
_MARK = '\t'
# The lists of emoji have 2 MB.
MAX_LIST_BYTES = 1 << 23


class Named(NamedTuple):
  """Pairs of a package.

  Attributes:
    condition: uint8 `[N, S, S, 3]`.
    target: uint8 `[N, S, S, 3]`.
    names: of the pairs.
    groups: name of the group of each pair; pairs of a group stay together.
  """

  condition: np.ndarray
  target: np.ndarray
  names: list[str]
  groups: list[str]


# Folders of the Fluent package.
_OUTLINE, _FLAT, _MODERN = 'high-contrast', 'flat', 'modern'
STYLES = {
  'fluent_outline_flat': (_OUTLINE, _FLAT),
  'fluent_flat_modern': (_FLAT, _MODERN),
}


def fluent(
  task: str,
  side: int,
  data_dir: str | None = None,
  progress: rendering.Progress | None = None,
) -> Named:
  """Makes pairs of two styles of Fluent emoji.

  Args:
    task: one of `STYLES`: outline to flat colours, or flat to shaded.
    side: S.
    data_dir: a folder that is searched first for the package.
    progress: see `rendering.render_all`.

  Raises:
    ValueError: the package or the renderer is missing, or a file is damaged.
  """

  def style(folder: str) -> tuple[np.ndarray, list[str]]:
    def make() -> tuple[np.ndarray, list[str]]:
      archive = pair_packages.archive('fluentui-emoji', data_dir)
      # A figure is used if it has all three styles. Outlines have no skin
      # tones, and so the others have none that are used.
      paths = archives.names(archive, r'package/icons/[^/]+/[^/]+\.svg')
      has = collections.Counter(map(_stem, paths))
      found = archives.read(archive, rf'package/icons/{folder}/[^/]+\.svg')
      texts = {_stem(path): text for path, text in found.items()}
      texts = {stem: text for stem, text in texts.items() if has[stem] == 3}
      return _rendered(texts, side, f'{task}/{folder}', progress)

    return kept_images.kept(_key('fluentui-emoji', folder), side, make)

  return _paired(task, *map(style, STYLES[task]))


def openmoji(
  side: int,
  data_dir: str | None = None,
  progress: rendering.Progress | None = None,
) -> Named:
  """Makes pairs of line art and colour of OpenMoji, without flags.

  Args:
    side: S.
    data_dir: a folder that is searched first for the package.
    progress: see `rendering.render_all`.

  Raises:
    ValueError: the package or the renderer is missing, or a file is damaged.
  """

  def style(folder: str) -> tuple[np.ndarray, list[str]]:
    def make() -> tuple[np.ndarray, list[str]]:
      archive = pair_packages.archive('openmoji', data_dir)
      found = archives.read(archive, rf'package/{folder}/svg/[^/]+\.svg')
      texts = {_stem(path): text for path, text in found.items()}
      wanted = _openmoji_names(archive)
      missing = sorted(wanted.keys() - texts.keys())
      if missing:
        raise ValueError(f'{archive.name}: no {folder} picture {missing[0]}')
      named = {name: texts[code] for code, name in wanted.items()}
      return _rendered(named, side, f'openmoji/{folder}', progress)

    return kept_images.kept(_key('openmoji', folder), side, make)

  return _paired('openmoji', style('black'), style('color'))


def vendors(side: int, data_dir: str | None = None) -> Named:
  """Makes pairs of Google's and Twitter's picture of the same emoji.

  The pictures have 64 pixels and are resized to another side.

  Args:
    side: S.
    data_dir: a folder that is searched first for the packages.

  Raises:
    ValueError: a package is missing, or a file is damaged.
  """

  def vendor(name: str) -> tuple[np.ndarray, list[str]]:
    package = f'emoji-datasource-{name}'

    def make() -> tuple[np.ndarray, list[str]]:
      archive = pair_packages.archive(package, data_dir)
      found = archives.read(
        archive,
        rf'package/(emoji\.json|img/{name}/64/[^/]+\.png)',
        MAX_LIST_BYTES,
      )
      listed, images, texts = _vendor_names(archive, found), [], []
      for code, text in listed.items():
        path = f'package/img/{name}/64/{code}.png'
        if path not in found:
          raise ValueError(f'{archive.name}: no {path}')
        images.append(_decoded(found[path], path, side))
        texts.append(_marked(text, found[path]))
      return np.stack(images), texts

    return kept_images.kept(_key(package, name), side, make)

  return _paired('emoji_pairs', vendor('google'), vendor('twitter'))


def _vendor_names(
  archive: pathlib.Path, found: dict[str, bytes]
) -> dict[str, str]:
  """Returns 'CODE words' by code for the emoji that both vendors have."""
  try:
    rows = {
      row['image'].removesuffix('.png'): row['short_name']
      for row in json.loads(found['package/emoji.json'])
      if row['has_img_google'] and row['has_img_twitter']
    }
    return {code: f'{code} {rows[code]}' for code in sorted(rows)}
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise ValueError(f'{archive.name}: no list of emoji inside') from None


def _openmoji_names(archive: pathlib.Path) -> dict[str, str]:
  """Returns 'CODE words' by code for every picture that is used."""
  listed = archives.read(archive, r'package/data/openmoji\.csv', MAX_LIST_BYTES)
  try:
    (text,) = listed.values()
    return {
      row['hexcode']: f'{row["hexcode"]} {row["annotation"]}'
      for row in csv.DictReader(io.StringIO(text.decode()))
      # The last group are letters, which have no colours, and flags.
      if not row['skintone'] and row['group'] not in ('flags', 'extras-unicode')
    }
  except (ValueError, KeyError, csv.Error):
    raise ValueError(f'{archive.name}: no list of emoji inside') from None


def _decoded(data: bytes, name: str, side: int) -> np.ndarray:
  try:
    opened = Image.open(io.BytesIO(data), formats=('PNG',))
  # On damaged bytes Pillow can raise any error.
  except Exception:
    raise ValueError(f'{name}: not a readable image') from None
  with opened as image:
    return decoding.convert(image, name, (side, side, 3))


def _stem(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]


def _key(package: str, style: str) -> str:
  file = next(iter(pair_packages.PACKAGES[package].files))
  return f'{file.removesuffix(".tgz")}-{style}'


def _rendered(
  texts: dict[str, bytes],
  side: int,
  description: str,
  progress: rendering.Progress | None,
) -> tuple[np.ndarray, list[str]]:
  """Renders pictures; their names carry a checksum, see `_marked`.

  It is that of the picture at one size, since groups may not depend on `side`.
  """
  images, names = rendering.render_all(texts, side, description, progress)
  same = images
  if side != SIDE:
    same, _ = rendering.render_all(
      texts, SIDE, f'{description} to compare', progress
    )
  return images, [
    _marked(name, image.tobytes())
    for name, image in zip(names, same, strict=True)
  ]


def _marked(name: str, contents: bytes) -> str:
  """Returns a name and a short checksum, which `_paired` takes apart."""
  return f'{name}{_MARK}{files.digest([contents])[:16]}'


def _paired(
  task: str,
  one: tuple[np.ndarray, list[str]],
  two: tuple[np.ndarray, list[str]],
) -> Named:
  """Joins two styles; equal pictures and figures get one group.

  Raises:
    ValueError: the styles have different pictures.
  """
  names, first = _apart(one[1])
  others, second = _apart(two[1])
  if names != others:
    raise ValueError(
      f'{task}: {len(names)} and {len(others)} pictures that do not match; '
      f'remove the folder {kept_images.FOLDER!r} of the user cache'
    )
  words, codes = [], []
  for name in names:
    code, space, text = name.partition(' ')
    words.append(emoji_figures.of_name(text if space else name))
    codes.append(emoji_figures.of_code(code) if space else name)
  groups = emoji_figures.merged(words, codes, first, second)
  return Named(one[0], two[0], names, groups)


def _apart(texts: list[str]) -> tuple[list[str], list[str]]:
  """Returns names and checksums."""
  rows = [text.partition(_MARK) for text in texts]
  return [row[0] for row in rows], [row[2] for row in rows]

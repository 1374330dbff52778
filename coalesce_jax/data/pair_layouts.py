"""Finds out how a folder holds image pairs.

* Aligned, side by side: files A|B, maybe in sub-folders train, test, val. Files
  in other sub-folders are taken if the layout is said to be aligned.
* Aligned, two folders: A and B with equal names, maybe train, test, val inside.
* Unaligned: trainA and trainB, maybe testA and testB, or valA and valB.
* Single: testA, A, or pictures. They are conditions alone, for a trained
  network.

Images of test are held out. Without test it is those of val, and without both a
tenth by a hash of the names.
"""

import collections
from collections.abc import Sequence
import pathlib
from typing import NamedTuple

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import file_kinds
from coalesce_jax.data import folders
from coalesce_jax.data import splits

ALIGNED, UNALIGNED = 'aligned', 'unaligned'
HELD_OUT = 0.1
WANTED = 'pairs are files A|B, or folders A and B, or trainA and trainB'
_TRAIN, _HELD = 'train', ('test', 'val')
_DOMAINS = tuple(f'{split}{d}' for split in (_TRAIN, *_HELD) for d in 'AB')


class Domain(NamedTuple):
  """Files of one domain and their names, paths below the folder, no ending."""

  paths: list[pathlib.Path]
  names: list[str]

  def rows(self, rows: np.ndarray) -> 'Domain':
    """Returns the files for which `rows`, booleans `[N]`, is true."""
    return Domain(
      [p for p, row in zip(self.paths, rows, strict=True) if row],
      [n for n, row in zip(self.names, rows, strict=True) if row],
    )


class Layout(NamedTuple):
  """How a folder holds image pairs.

  Attributes:
    kind: 'aligned' or 'unaligned'.
    text: the layout in a few words.
    side_by_side: whether a file holds A on its left and B on its right; then
      both domains of a split are the same files.
    train: domains A and B for training.
    held: domains A and B held out.
  """

  kind: str
  text: str
  side_by_side: bool
  train: tuple[Domain, Domain]
  held: tuple[Domain, Domain]


def find(folder: str, layout: str | None = None) -> Layout:
  """Finds the layout of a folder.

  Args:
    folder: the folder.
    layout: 'aligned' or 'unaligned'; None looks.

  Raises:
    ValueError: there is no such layout, a domain is empty, or partners are
      missing. The message is one line.
  """
  root, name = pathlib.Path(folder), files.shown(folder)
  if not file_kinds.is_folder(folder):
    raise ValueError(f'{name}: a file; pairs are in a folder or an .npz file')
  if layout != ALIGNED and _any_dir(root, ('trainA', 'trainB')):
    return _unaligned(root, name)
  if layout == UNALIGNED:
    raise ValueError(f'{name}: no folders trainA and trainB inside')
  if _any_dir(root, ('A', 'B')):
    return _two_folders(root, name)
  return _side_by_side(root, name, layout == ALIGNED)


def is_clear(folder: str) -> bool:
  """Returns whether the names of sub-folders alone say that there are pairs.

  Folders A and B may also be two classes: they need at least one equal name,
  and no picture without a partner.

  Args:
    folder: a folder.

  Raises:
    ValueError: a folder cannot be read.
  """
  root = pathlib.Path(folder)
  if all((root / n).is_dir() for n in ('trainA', 'trainB')):
    return True
  if not all((root / n).is_dir() for n in ('A', 'B')):
    return False
  a, b = _domain(root / 'A'), _domain(root / 'B')
  return bool(a.names) and set(a.names) == set(b.names)


def single(folder: str) -> Domain:
  """Finds conditions alone: those in testA, A, or the folder itself.

  Args:
    folder: the folder, or one picture.

  Raises:
    ValueError: there are no pictures, or two have one name.
  """
  root = pathlib.Path(folder)
  if not file_kinds.is_folder(folder):
    return Domain([root], [root.stem])
  place = next((root / n for n in ('testA', 'A') if (root / n).is_dir()), root)
  domain = _filled(place)
  _check_names(domain, files.shown(place))
  return domain


def _unaligned(root: pathlib.Path, name: str) -> Layout:
  train = (_filled(root / 'trainA'), _filled(root / 'trainB'))
  for held in _HELD:
    halves = [root / f'{held}{domain}' for domain in 'AB']
    if any(half.is_dir() for half in halves):
      text = f'unaligned: trainA, trainB, {held}A, {held}B'
      return Layout(
        UNALIGNED, text, False, train, (_filled(halves[0]), _filled(halves[1]))
      )
  parted = [_parted(name, domain) for domain in train]
  text = 'unaligned: trainA, trainB; a tenth held out'
  return Layout(
    UNALIGNED, text, False, (parted[0][0], parted[1][0]),
    (parted[0][1], parted[1][1]),
  )  # fmt: skip


def _two_folders(root: pathlib.Path, name: str) -> Layout:
  for inner in ('A', 'B'):
    if not (root / inner).is_dir():
      raise ValueError(f'{name}: a folder {"AB".replace(inner, "")} but no '
                       f'{inner}; pairs need both')  # fmt: skip
  parts = [p for p in (_TRAIN, *_HELD) if (root / 'A' / p).is_dir()]
  if _TRAIN in parts and len(parts) > 1:
    held = parts[1]
    text = f'aligned: folders A and B, with {_TRAIN} and {held} inside'
    return Layout(
      ALIGNED, text, False, _partners(root, _TRAIN), _partners(root, held)
    )
  inner = _TRAIN if _TRAIN in parts else '.'
  a, b = _partners(root, inner)
  if len(a.names) < 2:
    raise ValueError(f'{name}: one pair cannot be split; add more')
  rows = splits.held_out(a.names, HELD_OUT)
  text = 'aligned: folders A and B; a tenth held out'
  return Layout(
    ALIGNED, text, False, (a.rows(~rows), b.rows(~rows)),
    (a.rows(rows), b.rows(rows)),
  )  # fmt: skip


def _side_by_side(root: pathlib.Path, name: str, said: bool) -> Layout:
  if (root / _TRAIN).is_dir():
    train = _filled(root / _TRAIN)
    held = [part for part in _HELD if (root / part).is_dir()]
    if held:
      other = _filled(root / held[0])
      text = f'aligned: files A|B in {_TRAIN} and {held[0]}'
      return Layout(ALIGNED, text, True, (train, train), (other, other))
  else:
    _check_folders(root, name, said)
    train = _filled(root)
  train, other = _parted(name, train)
  text = 'aligned: files A|B; a tenth held out'
  return Layout(ALIGNED, text, True, (train, train), (other, other))


def _check_folders(root: pathlib.Path, name: str, said: bool) -> None:
  """Checks that no pictures lie in folders that mean something else.

  Args:
    root: the folder.
    name: its name, for the message.
    said: whether the layout is said to be aligned; then only folders of domains
      are refused.

  Raises:
    ValueError: some do.
  """
  below = folders.find(root).below
  strange = [n for n in below if not said or n in _DOMAINS]
  if not strange:
    return
  listed = ', '.join(files.shown(n) for n in strange[:3])
  more = f' and {len(strange) - 3} more' if len(strange) > 3 else ''
  clear = set(strange).intersection(_DOMAINS)
  advice = '' if clear else "; layout 'aligned' takes all of them as files A|B"
  raise ValueError(
    f'{name}: pictures in folders named {listed}{more}, but {WANTED}{advice}'
  )


def _check_names(domain: Domain, name: str) -> None:
  counts = collections.Counter(domain.names)
  twice = sorted(files.shown(n) for n, count in counts.items() if count > 1)[:3]
  if twice:
    raise ValueError(
      f'{name} has two files named {", ".join(twice)}, with other endings; '
      'rename one'
    )


def _partners(root: pathlib.Path, inner: str) -> tuple[Domain, Domain]:
  """Returns the files of A and B that have equal names, in one order."""
  a, b = (_filled(root / domain / inner) for domain in ('A', 'B'))
  for one, other, mine, its in ((a, b, 'A', 'B'), (b, a, 'B', 'A')):
    _check_names(one, f'{files.shown(root)}: {mine}')
    others = set(other.names)
    alone = [n for n in one.names if n not in others]
    if alone:
      listed = ', '.join(files.shown(n) for n in alone[:3])
      more = f' and {len(alone) - 3} more' if len(alone) > 3 else ''
      raise ValueError(
        f'{files.shown(root)}: {len(alone)} of {len(one.names)} files of '
        f'{mine} have no partner of the same name in {its}: {listed}{more}; '
        'rename them, or leave them out'
      )
  at = {name: path for name, path in zip(b.names, b.paths, strict=True)}
  return a, Domain([at[name] for name in a.names], a.names)


def _parted(name: str, domain: Domain) -> tuple[Domain, Domain]:
  if len(domain.names) < 2:
    raise ValueError(f'{name}: one image cannot be split; add more')
  held = splits.held_out(domain.names, HELD_OUT)
  return domain.rows(~held), domain.rows(held)


def _domain(folder: pathlib.Path) -> Domain:
  found = folders.find(folder)
  paths = [*found.direct, *(f for each in found.below.values() for f in each)]
  names = [
    path.relative_to(folder).with_suffix('').as_posix() for path in paths
  ]
  return Domain(paths, names)


def _filled(folder: pathlib.Path) -> Domain:
  """Returns the pictures of a folder, of which there must be some."""
  name = files.shown(folder)
  if not folder.is_dir():
    raise ValueError(f'{name}: no such folder; both domains need one')
  domain = _domain(folder)
  if not domain.paths:
    found = folders.find(folder)
    raise ValueError(f'{name}: {found.nothing()}')
  return domain


def _any_dir(root: pathlib.Path, inner: Sequence[str]) -> bool:
  return any((root / name).is_dir() for name in inner)

"""Checkpoints by orbax under a manifest of our own; resume is bit-exact.

Orbax loads flipped bits and truncated files without a word. So every file of
a step is listed with its size and sha256 in a manifest that is written last;
a step without a manifest, or whose files differ from it, does not count, and
the newest good one is taken.
"""

from collections.abc import Callable, Iterator
import contextlib
import json
import os
import pathlib
import platform
import shutil
from typing import Any, NamedTuple

from absl import logging
import jax
import jaxlib
import numpy as np
import orbax.checkpoint as ocp

from coalesce_jax.core import files

_MANIFEST = 'manifest.json'


class Checkpointer(NamedTuple):
  """Functions of one folder of checkpoints.

  Attributes:
    save: ``(step, tree)``; a step that is there already is left alone.
    restore: ``like -> (step, tree) or None``, the newest good step.
    steps: the steps that have a manifest, ascending.
    clear: removes the folder.
  """

  save: Callable[[int, Any], None]
  restore: Callable[[Any], tuple[int, Any] | None]
  steps: Callable[[], list[int]]
  clear: Callable[[], None]


def open(  # noqa: A001
  folder: str | os.PathLike[str], *, config_hash: str, keep: int = 2
) -> Checkpointer:
  """Opens a folder, removing what a killed save left behind.

  Args:
    folder: created at the first save.
    config_hash: of the settings; a checkpoint of other settings is refused.
    keep: newest steps that stay.

  Returns:
    A `Checkpointer`; its `restore` raises ValueError for other settings.
  """
  folder = pathlib.Path(folder).absolute()

  def steps() -> list[int]:
    if not folder.is_dir():
      return []
    return sorted(
      int(d.name)
      for d in folder.iterdir()
      if d.name.isdigit() and (d / _MANIFEST).is_file()
    )

  def clean() -> None:
    good = {str(s) for s in steps()}
    if folder.is_dir():
      for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in good:
          shutil.rmtree(entry, ignore_errors=True)

  def save(step: int, tree: Any) -> None:
    target = folder / str(step)
    if (target / _MANIFEST).is_file():
      return
    clean()
    leaves = {
      f'{i:05d}': np.asarray(leaf)
      for i, leaf in enumerate(jax.tree.leaves(tree))
    }
    with _quiet(), ocp.StandardCheckpointer() as checkpointer:
      checkpointer.save(target / 'state', leaves)
      checkpointer.wait_until_finished()
    manifest = {
      'step': step,
      'config_hash': config_hash,
      'environment': _environment(),
      'leaves': [[list(v.shape), str(v.dtype)] for v in leaves.values()],
      'files': _digests(target),
    }
    files.write_json(target / _MANIFEST, manifest)
    for old in steps()[:-keep]:
      shutil.rmtree(folder / str(old), ignore_errors=True)

  def restore(like: Any) -> tuple[int, Any] | None:
    for step in reversed(steps()):
      try:
        return step, _restore(folder / str(step), like, config_hash)
      except _Damaged as error:
        logging.warning(
          'checkpoint %s/%d is damaged (%s): trying an older one',
          folder, step, error,
        )  # fmt: skip
    return None

  def clear() -> None:
    shutil.rmtree(folder, ignore_errors=True)

  clean()
  return Checkpointer(save, restore, steps, clear)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Orbax logs a page at every save."""
  before = logging.get_verbosity()
  logging.set_verbosity(min(before, logging.WARNING))
  try:
    yield
  finally:
    logging.set_verbosity(before)


class _Damaged(Exception):
  """A step that does not verify."""


def _restore(target: pathlib.Path, like: Any, config_hash: str) -> Any:
  try:
    manifest = json.loads((target / _MANIFEST).read_text())
    listed, found = manifest['files'], _digests(target)
    theirs, environment = manifest['config_hash'], manifest['environment']
    shapes = manifest['leaves']
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise _Damaged(f'manifest: {error}') from None
  if listed != found:
    bad = {k for k in {*listed, *found} if listed.get(k) != found.get(k)}
    raise _Damaged(f'{min(bad)} changed')
  if theirs != config_hash:
    raise ValueError(
      f'{target.parent}: made with other settings; use another --workdir, or '
      'remove this folder'
    )
  if environment != _environment():
    logging.warning(
      'resuming on %s what ran on %s: results can differ in the last bits',
      _environment(), environment,
    )  # fmt: skip
  leaves, treedef = jax.tree.flatten(like)
  wanted = [[list(np.shape(x)), str(np.asarray(x).dtype)] for x in leaves]
  if wanted != shapes:
    raise ValueError(f"{target.parent}: shapes differ from this program's")
  abstract = {
    f'{i:05d}': jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype)
    for i, x in enumerate(leaves)
  }
  with _quiet(), ocp.StandardCheckpointer() as checkpointer:
    restored = checkpointer.restore(target / 'state', abstract)
  values = [jax.numpy.asarray(restored[name]) for name in sorted(abstract)]
  return jax.tree.unflatten(treedef, values)


def _digests(target: pathlib.Path) -> dict[str, list[Any]]:
  """Size and sha256 of every file but the manifest."""
  return {
    str(f.relative_to(target)): [f.stat().st_size, files.sha256(f)]
    for f in sorted(target.rglob('*'))
    if f.is_file() and f.name != _MANIFEST
  }


def _environment() -> dict[str, str]:
  """What bit-exactness depends on."""
  return {
    'jax': jax.__version__,
    'jaxlib': jaxlib.__version__,
    'backend': jax.default_backend(),
    'machine': platform.machine(),
    'float': str(jax.numpy.zeros(0).dtype),
  }

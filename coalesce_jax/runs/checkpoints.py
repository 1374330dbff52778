"""Saves and restores checkpoints bit for bit, and detects damaged ones.

Orbax writes the arrays, but it loads flipped bits and truncated files without
an error. So a manifest lists the size and SHA-256 of every file of a step, and
is written last. A step without a manifest, or with other files than listed, is
ignored. The newest step that is left is restored.
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
  """The functions of one folder of checkpoints.

  Attributes:
    save: ``(step, tree) -> None``. A step that exists already is not changed.
    restore: ``like -> (step, tree) or None``, the newest undamaged step. It
      raises ValueError if the settings or the shapes of `like` differ.
    steps: ``() -> steps``, all steps with a manifest, in ascending order.
    clear: ``() -> None``, removes the folder.
  """

  save: Callable[[int, Any], None]
  restore: Callable[[Any], tuple[int, Any] | None]
  steps: Callable[[], list[int]]
  clear: Callable[[], None]


def open(  # noqa: A001
  folder: str | os.PathLike[str], *, config_hash: str, keep: int = 2
) -> Checkpointer:
  """Opens a folder of checkpoints and removes incomplete steps.

  Args:
    folder: the folder, which the first save creates.
    config_hash: hash of the settings. Checkpoints of other settings are
      refused.
    keep: number of newest steps that are kept.
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
  """Hides the many lines that orbax logs at every save."""
  before = logging.get_verbosity()
  logging.set_verbosity(min(before, logging.WARNING))
  try:
    yield
  finally:
    logging.set_verbosity(before)


class _Damaged(Exception):
  """A step whose files differ from its manifest."""


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
      f'{target.parent}: saved with other settings; use another --workdir, or '
      'remove this folder'
    )
  if environment != _environment():
    logging.warning(
      'resuming on %s a run of %s: results can differ in the last bits',
      _environment(), environment,
    )  # fmt: skip
  leaves, treedef = jax.tree.flatten(like)
  wanted = [[list(np.shape(x)), str(np.asarray(x).dtype)] for x in leaves]
  if wanted != shapes:
    raise ValueError(
      f"{target.parent}: shapes differ from this program's; use another "
      '--workdir, or remove this folder'
    )
  abstract = {
    f'{i:05d}': jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype)
    for i, x in enumerate(leaves)
  }
  with _quiet(), ocp.StandardCheckpointer() as checkpointer:
    restored = checkpointer.restore(target / 'state', abstract)
  values = [jax.numpy.asarray(restored[name]) for name in sorted(abstract)]
  return jax.tree.unflatten(treedef, values)


def _digests(target: pathlib.Path) -> dict[str, list[Any]]:
  """Returns size and SHA-256 of every file except the manifest."""
  return {
    str(f.relative_to(target)): [f.stat().st_size, files.sha256(f)]
    for f in sorted(target.rglob('*'))
    if f.is_file() and f.name != _MANIFEST
  }


def _environment() -> dict[str, str]:
  """Returns the versions and hardware that bit-exact results depend on."""
  return {
    'jax': jax.__version__,
    'jaxlib': jaxlib.__version__,
    'backend': jax.default_backend(),
    'machine': platform.machine(),
    'float': str(jax.numpy.zeros(0).dtype),
  }

"""Saves and restores checkpoints bit for bit, and detects damaged ones.

Orbax writes the arrays, but it loads flipped bits and truncated files without
an error. So a manifest lists the size and SHA-256 of every file of a step, has
a SHA-256 of its own, and is written last. A step without a manifest, or with
other files than listed, is removed. The newest step that is left is restored.

One process at a time may open a folder; `workdir` sees to that.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import json
import logging as std_logging
import os
import pathlib
import platform
import re
import shutil
import sys
from typing import Any, NamedTuple

from absl import logging
import jax
import jaxlib
import numpy as np
import orbax.checkpoint as ocp

from coalesce_jax.core import files
from coalesce_jax.core import write_errors

_MANIFEST = 'manifest.json'


class Checkpointer(NamedTuple):
  """The functions of one folder of checkpoints.

  Attributes:
    save: ``(step, tree) -> None``. An undamaged step that exists already is not
      changed, a damaged one is replaced. It raises `write_errors.WriteError` if
      the step cannot be written; earlier steps stay.
    restore: ``like -> (step, tree) or None``, the newest undamaged step. It
      removes damaged ones, and raises ValueError if the settings or the shapes
      of `like` differ.
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
      if re.fullmatch('0|[1-9][0-9]*', d.name) and (d / _MANIFEST).is_file()
    )

  def clean() -> None:
    good = {str(s) for s in steps()}
    if folder.is_dir():
      for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in good:
          shutil.rmtree(entry, ignore_errors=True)

  def save(step: int, tree: Any) -> None:
    target = folder / str(step)
    if step in steps():
      try:
        _checked(target)
        return
      except _Damaged as error:
        logging.warning(
          'checkpoint %s is damaged (%s): replaced', target, error
        )
    clean()
    leaves = {
      f'{i:05d}': np.asarray(leaf)
      for i, leaf in enumerate(jax.tree.leaves(tree))
    }
    with write_errors.writing(target):
      try:
        if target.exists():
          shutil.rmtree(target)
        # Orbax refuses arrays without values; their shapes suffice.
        _store(target / 'state', {k: v for k, v in leaves.items() if v.size})
        manifest = {
          'step': step,
          'config_hash': config_hash,
          'environment': _environment(),
          'leaves': [[list(v.shape), str(v.dtype)] for v in leaves.values()],
          'files': _digests(target),
        }
        files.write_json(
          target / _MANIFEST,
          {'manifest': manifest, 'sha256': _digest(manifest)},
        )
      except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
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
        shutil.rmtree(folder / str(step), ignore_errors=True)
    return None

  def clear() -> None:
    shutil.rmtree(folder, ignore_errors=True)

  clean()
  return Checkpointer(save, restore, steps, clear)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Hides what orbax logs: many lines at every save, and pages at an error.

  Errors are raised, too. After an error, what the threads of orbax still say
  is hidden until the process ends.
  """
  before, hook = logging.get_verbosity(), sys.unraisablehook
  loops = std_logging.getLogger('asyncio')

  def unraisable(what: Any) -> None:
    if 'Event loop is closed' not in str(what.exc_value):
      hook(what)

  def record(what: std_logging.LogRecord) -> bool:
    return 'orbax' not in what.getMessage()

  logging.set_verbosity(min(before, logging.FATAL))
  sys.unraisablehook = unraisable
  loops.addFilter(record)
  try:
    yield
    sys.unraisablehook = hook
    loops.removeFilter(record)
  finally:
    logging.set_verbosity(before)


class _Damaged(Exception):
  """A step whose files differ from its manifest."""


def _store(path: pathlib.Path, leaves: dict[str, np.ndarray]) -> None:
  """Writes arrays by orbax; all that it raises becomes an OSError."""
  # A disk that is full is seen before threads of orbax fail.
  files.check_space(path, sum(value.nbytes for value in leaves.values()))
  try:
    with _quiet(), ocp.StandardCheckpointer() as checkpointer:
      checkpointer.save(path, leaves)
      checkpointer.wait_until_finished()
  except OSError:
    raise
  # Types differ by version and file system: ValueError, XlaRuntimeError, ...
  except Exception as error:
    text = str(error) or type(error).__name__
    system = re.search(r"os_error_code='(\d+)'", text)
    code = int(system[1]) if system else errno.EIO
    reason = os.strerror(code) if system else text.splitlines()[0][:200]
    raise OSError(code, reason) from None


def _checked(target: pathlib.Path) -> dict[str, Any]:
  """Returns the manifest of a step all of whose files are as they were."""
  try:
    stored = files.read_json(target / _MANIFEST)
    manifest, digest = stored['manifest'], stored['sha256']
    if digest != _digest(manifest):
      raise ValueError('changed')
    listed, found = manifest['files'], _digests(target)
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise _Damaged(f'manifest: {error}') from None
  if listed != found:
    bad = {k for k in {*listed, *found} if listed.get(k) != found.get(k)}
    raise _Damaged(f'{min(bad)} changed')
  return manifest


def _digest(manifest: dict[str, Any]) -> str:
  return files.digest([json.dumps(manifest, sort_keys=True).encode()])


def _restore(target: pathlib.Path, like: Any, config_hash: str) -> Any:
  manifest = _checked(target)
  theirs, environment = manifest['config_hash'], manifest['environment']
  shapes = manifest['leaves']
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
  full = {name: each for name, each in abstract.items() if each.size}
  with _quiet(), ocp.StandardCheckpointer() as checkpointer:
    restored = checkpointer.restore(target / 'state', full)
  values = [
    jax.numpy.asarray(restored[name])
    if name in full
    else jax.numpy.zeros(each.shape, each.dtype)
    for name, each in sorted(abstract.items())
  ]
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

"""Results of trials: one JSON file each, written whole.

A damaged result counts as missing. Several processes may share a folder, but
not run the same trial at a time.
"""

from collections.abc import Callable
import os
import pathlib
import time
from typing import Any

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.runs import records
from coalesce_jax.training import loop

Trial = Callable[[], dict[str, Any]]
Folder = str | os.PathLike[str]


def read(workdir: Folder, name: str) -> dict[str, Any]:
  """Reads what a trial returned that is done.

  Raises:
    ValueError: it is missing or damaged; one line.
  """
  return files.read_json(_path(workdir, name))


def find(workdir: Folder, name: str) -> dict[str, Any] | None:
  """Reads what a trial returned; None where it is missing or damaged."""
  if not _path(workdir, name).is_file():
    return None
  try:
    return read(workdir, name)
  except ValueError as error:
    logging.warning('%s: this trial is not done', error)
    return None


def make(
  workdir: Folder, name: str, trial: Trial, stop: Callable[[], bool]
) -> None:
  """Runs a trial that has no result yet, and writes its result.

  Raises:
    locks.Held: another process runs it.
    loop.Interrupted: `stop` said so.
  """
  if stop():
    raise loop.Interrupted('before a trial')
  lock = pathlib.Path(workdir) / f'.trial-{name}.lock'
  with locks.holding(lock, f'trial {name!r} of {workdir}'):
    if find(workdir, name) is not None:  # Another run shares the folder.
      return
    logging.info('trial %s', name)
    began = time.monotonic()
    result = records.plain(trial())
    result['seconds'] = round(time.monotonic() - began, 2)
    here = records.environment()
    result['provenance'] = f'{here["revision"]}, {here["device"]}'
    files.write_json(_path(workdir, name), result)


def _path(workdir: Folder, name: str) -> pathlib.Path:
  return pathlib.Path(workdir) / 'trials' / f'{name}.json'

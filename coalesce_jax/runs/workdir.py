"""Connects the stages of a run to the records and checkpoints of a folder.

One process at a time works in a folder. The trials of an experiment share one:
each of them is locked by itself, see `trials`.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import hashlib
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import locks
from coalesce_jax.core import write_errors
from coalesce_jax.runs import checkpoints
from coalesce_jax.runs import progress as progress_lib
from coalesce_jax.runs import records
from coalesce_jax.runs.trackers import table
from coalesce_jax.training import loop

_CONFIG = 'config.json'
_LOCK = '.lock'
# What a run leaves, after its settings.
_RESULTS = (
  'bundles', 'checkpoints', 'metrics.jsonl', 'report.html', 'report.md',
  'scores.json', 'summary.json', 'tables.md', 'trials',
)  # fmt: skip

# ``(stage, step, parameters) -> metrics``, evaluated during a stage.
Evaluate = Callable[[str, int, Any], dict[str, Any]]


class Workspace(NamedTuple):
  """The functions of one work folder.

  Attributes:
    path: the folder.
    recorder: its records.
    hooks: ``evaluate or None -> (stage -> hooks)``. The metrics of `evaluate`
      are recorded as the stage's curve.
    clear: ``stage -> None``, removes the checkpoints of a stage and of all its
      parts ``stage_k``.
    close: ``(failed=False) -> None``, ends the records of trackers and lets
      other processes work in the folder. The end of the process does so, too.
      A `with` statement closes the workspace.
  """

  path: pathlib.Path
  recorder: records.Recorder
  hooks: Callable[[Evaluate | None], loop.HooksFor]
  clear: Callable[[str], None]
  close: Callable[..., None]

  def __enter__(self) -> 'Workspace':
    return self

  def __exit__(self, *error: Any) -> None:
    self.close(failed=error[0] is not None)


def check(workdir: str | os.PathLike[str], config: dict[str, Any]) -> str:
  """Returns the hash of the settings, and refuses a run with other settings.

  Args:
    workdir: the folder, which need not exist.
    config: resolved settings, as JSON values.

  Raises:
    ValueError: the folder holds a run with other settings, or of settings that
      cannot be read. The message names the first setting that differs.
  """
  folder, digest = pathlib.Path(workdir), config_hash(config)
  before = settings(folder)
  if before is not None and config_hash(before) != digest:
    raise ValueError(
      f'{workdir}: holds a run with other settings '
      f'({_difference(before, config)}); use another --workdir'
    )
  return digest


def settings(workdir: str | os.PathLike[str]) -> dict[str, Any] | None:
  """Reads the settings of the run in a folder; None is a folder without a run.

  Raises:
    ValueError: the folder holds results whose settings are missing or damaged.
  """
  folder = pathlib.Path(workdir)
  stamp = folder / _CONFIG
  try:
    if stamp.exists():
      return files.read_json(stamp)
    fault = f'{folder}: no {_CONFIG}'
  except ValueError as error:
    fault = str(error)
  found = [name for name in _RESULTS if (folder / name).exists()]
  if found:
    raise ValueError(
      f'{fault}, so nobody knows of which settings {found[0]} is; use another '
      '--workdir'
    )
  return None


def open_workspace(
  workdir: str | os.PathLike[str],
  *,
  config: dict[str, Any],
  stop: Callable[[], bool] = lambda: False,
  track: Sequence[str] = (),
  shared: bool = False,
) -> Workspace:
  """Opens a work folder, and creates it if needed.

  The process that has opened a folder may open it again.

  Args:
    workdir: the folder.
    config: resolved settings, as JSON values. A folder with a run of other
      settings is refused.
    stop: returns whether a stop was requested.
    track: trackers that get the metrics too, see `trackers/table.py`.
    shared: whether other processes may work in the folder at the same time, if
      they share it, too.

  Raises:
    ValueError: the folder is not writable, holds a run with other settings,
      another process works in it, or a tracker is not installed.
  """
  table.check(track)
  path = files.check_writable(workdir)
  release = locks.acquire(path / _LOCK, str(workdir), shared=shared)
  try:
    digest = check(path, config)
    recorder = records.open_recorder(path, config=config, track=track)
  except BaseException:
    release()
    raise

  def checkpointer(stage: str) -> checkpoints.Checkpointer:
    return checkpoints.open(path / 'checkpoints' / stage, config_hash=digest)

  def hooks(evaluate: Evaluate | None) -> loop.HooksFor:
    def for_stage(stage: str) -> loop.Hooks:
      kept = checkpointer(stage)
      bars: dict[str, progress_lib.Show] = {}
      done, distance = 0, ''

      @contextlib.contextmanager
      def writing() -> Iterator[None]:
        advice = f': it goes on from step {done} of {stage}'
        with write_errors.writing(path, advice):
          yield

      def restore(like: Any) -> tuple[int, Any] | None:
        nonlocal done
        found = kept.restore(like)
        done, step = (0, -1) if found is None else (found[0], found[0])
        with writing():
          for name in (stage, f'{stage}/curve', f'{stage}/selection'):
            recorder.truncate(name, step)
        return found

      def save(step: int, tree: Any) -> None:
        nonlocal done
        with writing():
          kept.save(step, tree)
        done = step

      def log(name: str, step: int, row: dict[str, Any]) -> None:
        with writing():
          recorder.log(name, step, row)

      def record_curve(step: int, params: Any) -> None:
        if evaluate is not None:
          log(f'{stage}/curve', step, evaluate(stage, step, params))

      def log_step(step: int, row: dict[str, Any]) -> None:
        nonlocal distance
        if 'w1_smooth' in row:
          distance = f'W1 {np.mean(row["w1_smooth"]):.4g}'
        log(stage, step, row)

      def progress(step: int, total: int) -> None:
        if stage not in bars:
          bars[stage] = progress_lib.steps(stage, total)
        bars[stage](step, distance)

      return loop.Hooks(
        restore=restore,
        save=save,
        log=log_step,
        scored=lambda step, scores: log(
          f'{stage}/selection', step, {'score': scores}
        ),
        observe=record_curve,
        stop=stop,
        progress=progress,
        working=lambda what: progress_lib.working(f'{stage}: {what}'),
      )

    return for_stage

  def clear(name: str) -> None:
    for folder in (path / 'checkpoints').glob(f'{name}*'):
      if re.fullmatch(rf'{re.escape(name)}(_\d+)?', folder.name):
        checkpointer(folder.name).clear()

  def close(failed: bool = False) -> None:
    recorder.close(failed)
    release()

  return Workspace(path, recorder, hooks, clear, close)


def config_hash(config: dict[str, Any]) -> str:
  """Returns the hexadecimal SHA-256 of settings."""
  text = json.dumps(records.plain(config), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
  """Describes the first setting that differs."""
  before, after = records.plain(before), records.plain(after)
  for name in sorted({*before, *after}):
    old, new = before.get(name), after.get(name)
    if old != new and isinstance(old, dict) and isinstance(new, dict):
      return f'{name}.{_difference(old, new)}'
    if old != new:
      return f'{name}: {old!r} before, {new!r} now'
  return 'none'

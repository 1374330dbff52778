"""Connects the stages of a run to the records and checkpoints of a folder."""

from collections.abc import Callable
import hashlib
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

from coalesce_jax.core import files
from coalesce_jax.runs import checkpoints
from coalesce_jax.runs import records
from coalesce_jax.training import loop

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
  """

  path: pathlib.Path
  recorder: records.Recorder
  hooks: Callable[[Evaluate | None], loop.HooksFor]
  clear: Callable[[str], None]


def check(workdir: str | os.PathLike[str], config: dict[str, Any]) -> str:
  """Returns the hash of the settings, and refuses a run with other settings.

  Args:
    workdir: the folder, which need not exist.
    config: resolved settings, as JSON values.

  Raises:
    ValueError: the folder holds a run with other settings. The message names
      the first setting that differs.
  """
  stamp, digest = pathlib.Path(workdir) / 'config.json', config_hash(config)
  if stamp.is_file():
    try:
      before = json.loads(stamp.read_text())
    except ValueError:
      before = None
    if before is not None and config_hash(before) != digest:
      raise ValueError(
        f'{workdir}: holds a run with other settings '
        f'({_difference(before, config)}); use another --workdir'
      )
  return digest


def open_workspace(
  workdir: str | os.PathLike[str],
  *,
  config: dict[str, Any],
  stop: Callable[[], bool] = lambda: False,
  tensorboard: bool = False,
) -> Workspace:
  """Opens a work folder, and creates it if needed.

  Args:
    workdir: the folder.
    config: resolved settings, as JSON values. A folder with a run of other
      settings is refused.
    stop: returns whether a stop was requested.
    tensorboard: whether to write event files of TensorBoard as well.

  Raises:
    ValueError: the folder is not writable, or holds a run with other settings.
  """
  path = files.check_writable(workdir)
  digest = check(path, config)
  recorder = records.open_recorder(path, config=config, tensorboard=tensorboard)

  def checkpointer(stage: str) -> checkpoints.Checkpointer:
    return checkpoints.open(path / 'checkpoints' / stage, config_hash=digest)

  def hooks(evaluate: Evaluate | None) -> loop.HooksFor:
    def for_stage(stage: str) -> loop.Hooks:
      kept = checkpointer(stage)
      bars: dict[str, Callable[[int], None]] = {}

      def restore(like: Any) -> tuple[int, Any] | None:
        found = kept.restore(like)
        step = -1 if found is None else found[0]
        for name in (stage, f'{stage}/curve'):
          recorder.truncate(name, step)
        return found

      def record_curve(step: int, params: Any) -> None:
        if evaluate is not None:
          recorder.log(f'{stage}/curve', step, evaluate(stage, step, params))

      def progress(step: int, total: int) -> None:
        if stage not in bars:
          bars[stage] = records.progress(stage, total)
        bars[stage](step)

      return loop.Hooks(
        restore=restore,
        save=kept.save,
        log=lambda step, row: recorder.log(stage, step, row),
        observe=record_curve,
        stop=stop,
        progress=progress,
      )

    return for_stage

  def clear(name: str) -> None:
    for folder in (path / 'checkpoints').glob(f'{name}*'):
      if re.fullmatch(rf'{re.escape(name)}(_\d+)?', folder.name):
        checkpointer(folder.name).clear()

  return Workspace(path, recorder, hooks, clear)


def config_hash(config: dict[str, Any]) -> str:
  """Returns the hexadecimal SHA-256 of settings."""
  text = json.dumps(records.plain(config), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
  """Describes the first setting that differs."""
  before, after = records.plain(before), records.plain(after)
  for name in sorted({*before, *after}):
    if before.get(name) != after.get(name):
      return f'{name}: {before.get(name)!r} before, {after.get(name)!r} now'
  return 'none'

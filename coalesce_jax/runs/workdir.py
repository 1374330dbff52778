"""A work folder: records, checkpoints and stop requests as hooks of stages."""

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

# ``(part of a stage, step, parameters) -> metrics`` to record.
Observe = Callable[[str, int, Any], dict[str, Any]]


class Workspace(NamedTuple):
  """One work folder.

  Attributes:
    path: the folder.
    recorder: its records.
    hooks: ``observe or None -> hooks for a stage``.
    clear: removes the checkpoints of a stage, all parts `<stage>_<k>` too.
  """

  path: pathlib.Path
  recorder: records.Recorder
  hooks: Callable[[Observe | None], loop.HooksFor]
  clear: Callable[[str], None]


def check(workdir: str | os.PathLike[str], config: dict[str, Any]) -> str:
  """The hash of the settings, if a folder was made with no others.

  Raises:
    ValueError: it was.
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
  """Opens, and creates where needed, a work folder.

  Args:
    workdir: the folder.
    config: resolved settings, as JSON values; a folder made with others is
      refused.
    stop: whether a stop was asked for.
    tensorboard: also write event files.

  Raises:
    ValueError: not writable, or made with other settings.
  """
  path = files.check_writable(workdir)
  digest = check(path, config)
  recorder = records.open_recorder(path, config=config, tensorboard=tensorboard)

  def checkpointer(part: str) -> checkpoints.Checkpointer:
    return checkpoints.open(path / 'checkpoints' / part, config_hash=digest)

  def hooks(observe: Observe | None) -> loop.HooksFor:
    def for_part(part: str) -> loop.Hooks:
      kept = checkpointer(part)
      bars: dict[str, Callable[[int], None]] = {}

      def restore(like: Any) -> tuple[int, Any] | None:
        found = kept.restore(like)
        step = -1 if found is None else found[0]
        for name in (part, f'{part}/curve'):
          recorder.truncate(name, step)
        return found

      def look(step: int, params: Any) -> None:
        if observe is not None:
          recorder.log(f'{part}/curve', step, observe(part, step, params))

      def progress(step: int, total: int) -> None:
        if part not in bars:
          bars[part] = records.progress(part, total)
        bars[part](step)

      return loop.Hooks(
        restore=restore,
        save=kept.save,
        log=lambda step, row: recorder.log(part, step, row),
        observe=look,
        stop=stop,
        progress=progress,
      )

    return for_part

  def clear(name: str) -> None:
    for folder in (path / 'checkpoints').glob(f'{name}*'):
      if re.fullmatch(rf'{re.escape(name)}(_\d+)?', folder.name):
        checkpointer(folder.name).clear()

  return Workspace(path, recorder, hooks, clear)


def config_hash(config: dict[str, Any]) -> str:
  """Hex digest of settings."""
  text = json.dumps(records.plain(config), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
  """The first setting that differs."""
  before, after = records.plain(before), records.plain(after)
  for name in sorted({*before, *after}):
    if before.get(name) != after.get(name):
      return f'{name}: {before.get(name)!r} before, {after.get(name)!r} now'
  return 'none'

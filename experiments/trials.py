"""Experiments as lists of named trials that are done once and kept.

A trial is a function without arguments that returns JSON values. Its result is
written whole to `<workdir>/trials/<name>.json`; a run that is stopped and
started again with the same settings goes on with the first missing one.
"""

from collections.abc import Callable
import functools
import json
import os
import pathlib
import re
import time
from typing import Any

from absl import flags
from absl import logging
import jax
from ml_collections import config_flags

from coalesce_jax import cli
from coalesce_jax import driver
from coalesce_jax import files
from coalesce_jax import records
from coalesce_jax import workspace
from coalesce_jax.commands import common
from experiments import processes

Stop = Callable[[], bool]
Trial = Callable[[], dict[str, Any]]
# ``(settings, stop) -> trials by name``.
Plan = Callable[[Any, Stop], dict[str, Trial]]


def run(
  workdir: str | os.PathLike[str],
  config: Any,
  plan: Plan,
  stop: Stop = lambda: False,
  workers: int = 1,
) -> dict[str, dict[str, Any]]:
  """Runs the trials that have no result yet.

  Args:
    workdir: folder of results, settings and versions.
    config: settings, a `ConfigDict`; a folder made with others is refused.
    plan: what to do; for several workers a function at the top of a module.
      Names have letters, digits, `_`, `-` and `.`.
    stop: whether a stop was asked for.
    workers: trials at a time, a process each; one where there is an
      accelerator, which processes cannot share. Results do not depend on it.

  Returns:
    Results by name in the order of the plan, each with its `seconds`.

  Raises:
    ValueError: a folder that is not writable, or was made with other settings;
      no worker.
    driver.Interrupted: `stop` said so.
  """
  if workers < 1:
    raise ValueError(f'workers {workers} is below 1')
  todo = plan(config, stop)
  for name in todo:
    if not re.fullmatch(r'[\w.-]+', name):
      raise ValueError(f'trial name {name!r} is no file name')
  settings = json.loads(config.to_json_best_effort())
  path = workspace.open_workspace(workdir, config=settings, stop=stop).path
  folder = path / 'trials'
  kept = {name: folder / f'{name}.json' for name in todo}
  missing = [name for name in todo if not kept[name].is_file()]
  progress = records.progress('trials', len(todo))

  def count() -> int:
    return sum(file.is_file() for file in kept.values())

  try:
    if workers == 1 or jax.default_backend() != 'cpu' or len(missing) < 2:
      for name in missing:
        _kept(folder, name, todo[name], stop)
        progress(count())
    else:
      processes.run(
        _plan_kept, (plan, folder, config), missing, stop,
        lambda name: progress(count()), min(workers, len(missing)),
      )  # fmt: skip
  except driver.Interrupted:
    raise driver.Interrupted(f'{count()} of {len(todo)} trials are done') from (
      None
    )
  return {name: json.loads(file.read_text()) for name, file in kept.items()}


def _plan_kept(
  plan: Plan, folder: pathlib.Path, config: Any, stop: Stop
) -> dict[str, Callable[[], None]]:
  return {
    name: functools.partial(_kept, folder, name, trial, stop)
    for name, trial in plan(config, stop).items()
  }


def _kept(folder: pathlib.Path, name: str, trial: Trial, stop: Stop) -> None:
  """Runs a trial and writes its result."""
  file = folder / f'{name}.json'
  if stop():
    raise driver.Interrupted('before a trial')
  if file.is_file():  # Another run shares the folder.
    return
  logging.info('trial %s', name)
  began = time.monotonic()
  result = records.plain(trial())
  result['seconds'] = round(time.monotonic() - began, 2)
  files.write_json(file, result)


def sizes(name: str, values: Any) -> list[int]:
  """One size or several, from flags that read '2' as a number."""
  sizes = [values] if isinstance(values, int) else list(values)
  if not sizes or any(not isinstance(v, int) or v < 1 for v in sizes):
    raise ValueError(f'{name} {sizes} are not whole numbers of at least 1')
  return sizes


def main(
  name: str,
  text: str,
  run_all: Callable[..., dict[str, Any]],
  arguments: list[str],
  **more: str,
) -> int:
  """Command line of an experiment: `--config`, `--workdir`, one JSON line.

  Args:
    name: of the experiment.
    text: one line of help.
    run_all: ``(config, workdir, stop, **more) -> summary``.
    arguments: flags.
    **more: further text flags that may be left out, with their help.

  Returns:
    The exit code, as of `coalesce`.
  """

  def define(values: flags.FlagValues) -> None:
    config_flags.DEFINE_config_file(
      'config',
      str(pathlib.Path(__file__).parent / name / 'configs' / 'default.py'),
      'Configuration file, with `:quick` for a smoke test.',
      flag_values=values,
    )
    common.string(values, 'workdir', None, 'Folder of the results.')
    common.required(values, 'workdir')
    for flag, help_line in more.items():
      common.string(values, flag, None, help_line)

  def command(values: flags.FlagValues, stop: common.Stop) -> dict[str, Any]:
    texts = {flag: values[flag].value for flag in more}
    return run_all(values.config, values.workdir, stop, **texts)

  return cli.execute(name, common.Command(text, define, command), arguments)

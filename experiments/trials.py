"""Experiments as lists of named trials that are done once and kept.

A trial is a function without arguments that returns JSON values. Its result is
written whole to `<workdir>/trials/<name>.json`; a run that is stopped and
started again with the same settings goes on with the first missing one.
"""

from collections.abc import Callable
import json
import os
import pathlib
import re
import time
from typing import Any

from absl import flags
from absl import logging
from ml_collections import config_flags

from coalesce_jax import cli
from coalesce_jax import driver
from coalesce_jax import files
from coalesce_jax import records
from coalesce_jax import workspace
from coalesce_jax.commands import common

Trial = Callable[[], dict[str, Any]]


def run(
  workdir: str | os.PathLike[str],
  config: Any,
  trials: dict[str, Trial],
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, Any]]:
  """Runs the trials that have no result yet.

  Args:
    workdir: folder of results, settings and versions.
    config: settings, a `ConfigDict`; a folder made with others is refused.
    trials: by name; letters, digits, `_`, `-` and `.`.
    stop: whether a stop was asked for.

  Returns:
    Results by name, each with its `seconds`.

  Raises:
    ValueError: a folder that is not writable, or was made with other settings.
    driver.Interrupted: `stop` said so.
  """
  settings = json.loads(config.to_json_best_effort())
  path = workspace.open_workspace(workdir, config=settings, stop=stop).path
  progress = records.progress('trials', len(trials))
  results = {}
  for done, (name, trial) in enumerate(trials.items()):
    if not re.fullmatch(r'[\w.-]+', name):
      raise ValueError(f'trial name {name!r} is no file name')
    kept = path / 'trials' / f'{name}.json'
    if kept.is_file():
      results[name] = json.loads(kept.read_text())
      continue
    if stop():
      raise driver.Interrupted(f'{done} of {len(trials)} trials are done')
    logging.info('trial %s', name)
    began = time.monotonic()
    result = records.plain(trial())
    result['seconds'] = round(time.monotonic() - began, 2)
    files.write_json(kept, result)
    results[name] = result
    progress(done + 1)
  return results


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

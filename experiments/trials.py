"""Experiments as lists of named trials that are done once and kept.

A trial is a function without arguments that returns JSON values. Its result is
written whole to `<workdir>/trials/<name>.json`; a run that is stopped and
started again with the same settings goes on with the first missing one.
"""

from collections.abc import Callable
from concurrent import futures
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
  workers: int = 1,
) -> dict[str, dict[str, Any]]:
  """Runs the trials that have no result yet.

  Args:
    workdir: folder of results, settings and versions.
    config: settings, a `ConfigDict`; a folder made with others is refused.
    trials: by name; letters, digits, `_`, `-` and `.`.
    stop: whether a stop was asked for.
    workers: trials at a time, a thread each; compiled programs run side by
      side. Results do not depend on it.

  Returns:
    Results by name in the order of `trials`, each with its `seconds`.

  Raises:
    ValueError: a folder that is not writable, or was made with other settings.
    driver.Interrupted: `stop` said so.
  """
  settings = json.loads(config.to_json_best_effort())
  path = workspace.open_workspace(workdir, config=settings, stop=stop).path
  for name in trials:
    if not re.fullmatch(r'[\w.-]+', name):
      raise ValueError(f'trial name {name!r} is no file name')
  kept = {name: path / 'trials' / f'{name}.json' for name in trials}
  missing = [name for name in trials if not kept[name].is_file()]
  progress = records.progress('trials', len(trials))
  done = len(trials) - len(missing)

  def one(name: str) -> None:
    if stop():
      raise driver.Interrupted('before a trial')
    if kept[name].is_file():  # Another process shares the folder.
      return
    logging.info('trial %s', name)
    began = time.monotonic()
    result = records.plain(trials[name]())
    result['seconds'] = round(time.monotonic() - began, 2)
    files.write_json(kept[name], result)

  with futures.ThreadPoolExecutor(workers) as pool:
    running = [pool.submit(one, name) for name in missing]
    try:
      for finished in futures.as_completed(running):
        finished.result()
        done += 1
        progress(done)
    except driver.Interrupted:
      pool.shutdown(cancel_futures=True)
      done = sum(file.is_file() for file in kept.values())
      raise driver.Interrupted(
        f'{done} of {len(trials)} trials are done'
      ) from None
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise
  return {name: json.loads(file.read_text()) for name, file in kept.items()}


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

"""Experiments as lists of named trials that are done once and kept.

A trial is a function without arguments that returns JSON values. Its result is
written whole to `<workdir>/trials/<name>.json`; a run that is stopped and
started again with the same settings goes on with the first missing one. A
damaged result counts as missing. Several processes may share a folder, but not
run the same trial at a time.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import functools
import io
import json
import os
import pathlib
import re
import tempfile
import types
from typing import Any, NamedTuple

import jax
from matplotlib import figure

from coalesce_jax.core import files
from coalesce_jax.runs import progress as progress_lib
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.training import loop
from coalesce_jax.trials import processes
from coalesce_jax.trials import results

Stop = Callable[[], bool]
Trial = results.Trial
# ``(workdir, settings, stop) -> trials by name``, in the order in which they
# build on each other.
Plan = Callable[[str, Any, Stop], dict[str, Trial]]
# ``settings -> stages``, each a list of tasks, each a list of trials by name:
# the trials of a task go one after another, the tasks of a stage side by side.
Stages = Callable[[Any], list[list[list[str]]]]


class Report(NamedTuple):
  """What is made of all trials.

  Attributes:
    summary: JSON values or arrays, `summary.json`.
    line: what the command line prints, beside `workdir`.
    text: of the tables, `tables.md`; '' is none.
    figures: by name, `<name>.png`.
  """

  summary: dict[str, Any]
  line: dict[str, Any]
  text: str = ''
  figures: Mapping[str, figure.Figure] = types.MappingProxyType({})


class Experiment(NamedTuple):
  """What the command line of an experiment runs.

  Attributes:
    name: of its folder.
    help: one line.
    config: path of the default configuration file, see `configuration`.
    plan: of the trials; a function at the top of a module.
    report: ``(config, results by trial) -> Report``.
    stages: of the trials; None is one stage in which each is a task.
    prepare: ``(config, **more)``, checks and completes the settings before
      anything is done; ValueError with one line.
    more: further text flags that may be left out, with their help.
    partial: whether the report is one of some of the trials, too.
  """

  name: str
  help: str
  config: str
  plan: Plan
  report: Callable[[Any, dict[str, dict[str, Any]]], Report]
  stages: Stages | None = None
  prepare: Callable[..., None] = lambda config: None
  more: Mapping[str, str] = types.MappingProxyType({})
  partial: bool = False


def configuration(main: str) -> str:
  """Finds the default configuration of an experiment from any folder.

  Args:
    main: the `__file__` of the experiment's main module.

  Returns:
    The absolute path of `configs/default.py` beside it.
  """
  folder = pathlib.Path(main).resolve().parent
  return str(folder / 'configs' / 'default.py')


def workspace(workdir: str, config: Any, stop: Stop) -> workdir_lib.Workspace:
  """Opens the work folder of an experiment, for bundles and checkpoints.

  The processes of an experiment share it.

  Raises:
    ValueError: it is not writable, or was made with other settings.
  """
  settings = json.loads(config.to_json_best_effort())
  return workdir_lib.open_workspace(
    workdir, config=settings, stop=stop, shared=True
  )


def complete(
  experiment: Experiment,
  config: Any,
  workdir: str | os.PathLike[str],
  stop: Stop = lambda: False,
  **more: str | None,
) -> dict[str, Any]:
  """Runs all trials that have no result yet; writes summary, tables, figures.

  Args:
    experiment: what to run.
    config: its settings; `workers`, where there is such a field, are the trials
      at a time.
    workdir: folder of the results.
    stop: whether a stop was asked for.
    **more: values of `experiment.more`.

  Returns:
    The report's line with `workdir`.

  Raises:
    ValueError: one line, before anything is done.
    loop.Interrupted: `stop` said so.
  """
  experiment.prepare(config, **more)
  workers = config.get('workers', 1)
  done = run(workdir, config, experiment.plan, stop, workers)
  return _reported(experiment, config, workdir, done)


def summarise(
  experiment: Experiment,
  config: Any,
  workdir: str | os.PathLike[str],
  **more: str | None,
) -> dict[str, Any]:
  """Summary, tables and figures of the trials that are done; runs none.

  Returns:
    As of `complete`.

  Raises:
    ValueError: one line; no trial is done, or too few for this experiment.
  """
  experiment.prepare(config, **more)
  every = names(stages(experiment, config))
  found = {name: results.find(workdir, name) for name in every}
  done = {name: each for name, each in found.items() if each is not None}
  if not done or (len(done) < len(every) and not experiment.partial):
    needed = 'one' if experiment.partial else 'all'
    raise ValueError(
      f'{workdir}: {len(done)} of {len(every)} trials are done, a summary of '
      f'{experiment.name} needs {needed}'
    )
  workdir_lib.check(workdir, json.loads(config.to_json_best_effort()))
  return _reported(experiment, config, workdir, done)


def _reported(
  experiment: Experiment,
  config: Any,
  workdir: str | os.PathLike[str],
  done: dict[str, dict[str, Any]],
) -> dict[str, Any]:
  # Revision and device, with the number of trials; not for experiments.
  made = collections.Counter(
    result.pop('provenance', 'unknown') for result in done.values()
  )
  report = experiment.report(config, done)
  path = pathlib.Path(workdir)
  summary = {**report.summary, 'provenance': dict(made)}
  files.write_json(path / 'summary.json', records.plain(summary))
  if report.text:
    files.write_bytes(path / 'tables.md', report.text.encode())
  for name, drawn in report.figures.items():
    buffer = io.BytesIO()
    drawn.savefig(buffer, format='png', dpi=110)
    files.write_bytes(path / f'{name}.png', buffer.getvalue())
  return records.plain(report.line) | {'workdir': str(workdir)}


def run(
  workdir: str | os.PathLike[str],
  config: Any,
  plan: Plan,
  stop: Stop = lambda: False,
  workers: int = 1,
  only: Sequence[str] = (),
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
    only: names of the trials to run; empty is all.

  Returns:
    Results by name in the order of the plan, each with its `seconds`.

  Raises:
    ValueError: a folder that is not writable, or was made with other settings;
      no worker; no trial of a name; another process runs one of these trials.
    loop.Interrupted: `stop` said so.
  """
  if workers < 1:
    raise ValueError(f'workers {workers} is below 1')
  todo = plan(str(workdir), config, stop)
  for name in todo:
    if not re.fullmatch(r'[\w.-]+', name):
      raise ValueError(f'trial name {name!r} is no file name')
  for name in only:
    if name not in todo:
      raise ValueError(f'trial {name!r} is not among the {len(todo)} of these '
                       'settings')  # fmt: skip
  todo = {name: todo[name] for name in todo if not only or name in only}
  with workspace(str(workdir), config, stop):
    return _run(str(workdir), config, plan, todo, stop, workers)


def _run(
  workdir: str,
  config: Any,
  plan: Plan,
  todo: dict[str, Trial],
  stop: Stop,
  workers: int,
) -> dict[str, dict[str, Any]]:
  """Runs the trials in an open folder."""
  missing = [name for name in todo if results.find(workdir, name) is None]
  progress = progress_lib.steps('trials', len(todo))

  def count() -> int:
    return sum(results.find(workdir, name) is not None for name in todo)

  try:
    if workers == 1 or jax.default_backend() != 'cpu' or len(missing) < 2:
      for name in missing:
        results.make(workdir, name, todo[name], stop)
        progress(count())
    else:
      processes.run(
        _plan_kept, (plan, workdir, config), missing, stop,
        lambda name: progress(count()), min(workers, len(missing)),
      )  # fmt: skip
  except loop.Interrupted:
    raise loop.Interrupted(f'{count()} of {len(todo)} trials are done') from (
      None
    )
  return {name: results.read(workdir, name) for name in todo}


def _plan_kept(
  plan: Plan, workdir: str, config: Any, stop: Stop
) -> dict[str, Callable[[], None]]:
  return {
    name: functools.partial(results.make, workdir, name, trial, stop)
    for name, trial in plan(workdir, config, stop).items()
  }


def names(stages: list[list[list[str]]]) -> list[str]:
  """All trials of these stages, in order."""
  return [name for stage in stages for task in stage for name in task]


def stages(
  experiment: Experiment, config: Any, stop: Stop = lambda: False
) -> list[list[list[str]]]:
  """Names of all trials by stages and tasks, see `Stages`."""
  if experiment.stages is not None:
    return experiment.stages(config)
  # A plan of one folder opens it.
  with tempfile.TemporaryDirectory() as folder:
    return [[[name] for name in experiment.plan(folder, config, stop)]]

"""The main job: from images at K nodes to a ternary generator at the edge.

The stages are those of the table in `stages.py`. A stage that is done left its
bundles in the work folder and is not run again, unless one is damaged; one that
was interrupted resumes from its checkpoint to the same bits.

Shapes: K nodes, S seeds.
"""

from collections.abc import Callable, Sequence
import pathlib
import time
from typing import Any

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.metrics import evaluate
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data as data_lib
from coalesce_jax.pipeline import scores as scores_lib
from coalesce_jax.pipeline import stages
from coalesce_jax.runs import report
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.runs.trackers import table

Generators = list[generator.Generator]


def run(
  config: Any,
  workdir: str,
  stop: Callable[[], bool] = lambda: False,
  track: Sequence[str] = (),
) -> dict[str, Any]:
  """Runs all stages, evaluates, writes the report.

  Args:
    config: see `pipeline/defaults.py`.
    workdir: folder of everything the run leaves behind.
    stop: whether a stop was asked for.
    track: trackers that get the metrics too, see `runs/trackers/table.py`.

  Returns:
    The summary that the command prints: `workdir`, `report`, `frechet` and
    `frechet_std` by method, `bytes`, `seconds`. Those of a run that was
    finished before are kept.

  Raises:
    ValueError: bad settings or data; one line.
    loop.Interrupted: after a stop request, once the state is saved.
  """
  began = time.monotonic()
  table.check(track)
  resolved = config_lib.validate(config)
  stages.selected(config)
  problem = data_lib.load(config)
  with workdir_lib.open_workspace(
    workdir, config=resolved, stop=stop, track=track
  ) as work:
    before = _seconds(work.path / 'summary.json')
    made = train(config, problem, work)
    scores = scores_lib.score(config, problem, made, work, stop)
    paths = report.write(
      work.path,
      title=f'{config.dataset}, {config.split}, {config.local_samples} samples',
      rows=scores,
      grids=scores_lib.grids(problem, made),
      records=work.recorder.rows(None),
      config=resolved,
      label=evaluate.label(problem.reference, config.evaluate.samples),
    )
    summary = scores_lib.summarize(work.path, paths, scores, made, problem)
    summary['seconds'] = before or round(time.monotonic() - began, 1)
    files.write_json(work.path / 'summary.json', summary)
  return summary


def _seconds(path: pathlib.Path) -> float | None:
  """Reads how long a run took that is finished; None where it is not."""
  try:
    seconds = files.read_json(path)['seconds']
  except (OSError, ValueError, KeyError, TypeError):
    return None
  return seconds if isinstance(seconds, int | float) else None


def train(
  config: Any, problem: data_lib.Problem, work: workdir_lib.Workspace
) -> dict[str, Generators]:
  """Runs the stages that have no bundles yet, and loads the results of all.

  Returns:
    By name of the result (of nodes 'node_0', ...) one generator a seed.
  """
  folder = work.path / 'bundles'
  members: dict[str, Generators] = {}
  done: dict[str, Generators] = {}
  for stage in stages.selected(config):
    names = stage.results(len(problem.nodes))
    paths = {
      name: [ensembles.path(folder, name, s) for s in range(config.seeds)]
      for name in names
    }
    found = _loaded(paths)
    if found is None:
      _run(stage, config, problem, work, done)
      found = {
        name: [bundle.load(path) for path in paths[name]] for name in names
      }
    members |= found
    done[stage.name] = [ensembles.batched(members[name]) for name in names]
  return members


def _loaded(
  paths: dict[str, list[pathlib.Path]],
) -> dict[str, Generators] | None:
  """Loads the bundles of a stage; None where one is missing or damaged."""
  every = [path for each in paths.values() for path in each]
  if not all(path.is_file() for path in every):
    return None
  try:
    return {
      name: [bundle.load(path) for path in each] for name, each in paths.items()
    }
  except bundle.BundleError as error:
    logging.warning('%s: its stage runs again', error)
    return None


def _run(
  stage: stages.Stage,
  config: Any,
  problem: data_lib.Problem,
  work: workdir_lib.Workspace,
  done: dict[str, Generators],
) -> None:
  """Runs a stage, saves its bundles, clears its checkpoints."""
  began = time.monotonic()
  logging.info('stage %s', stage.name)

  def observe(name: str, step: int, params: Any) -> dict[str, Any]:
    del name, step
    return {'frechet': scores_lib.curve(config, problem, params)}

  hooks = work.hooks(observe if stage.observed else None)
  found = stage.run(config, problem, done, hooks)
  target = problem.split.target
  classes = problem.split.nodes if stage.per_node else [target]
  names = stage.results(len(problem.nodes))
  for name, made, of_classes in zip(names, found, classes, strict=True):
    ensembles.write(
      work.path / 'bundles',
      name,
      made,
      {
        'dataset': config.dataset,
        'classes': ','.join(map(str, of_classes)),
        'stage': name,
        'seed': str(config.seed),
      },
    )
  work.clear(stage.name)
  seconds = time.monotonic() - began
  work.recorder.log(f'{stage.name}/time', 0, {'seconds': seconds})

"""Trains every row on the same nodes, and scores it on the same tasks.

Shapes: S seeds, T tasks, F filters of a gated convolution.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.data import omniglot
from coalesce_jax.data import tasks as tasks_lib
from coalesce_jax.federated import classifier
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import learn
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import keys
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.trials import results
from coalesce_jax.trials import trials
from experiments.federated import measures
from experiments.federated import rows as rows_lib
from experiments.federated import speed

# Factors of step sizes that were not learned.
_SCALES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_VALIDATION_SEED, _TEST_SEED = 2, 3
# Name of the trial that times rounds.
SPEED = 'speed'


def validate(config: Any) -> None:
  """Checks the settings of all trials before anything is done.

  Raises:
    ValueError: one line.
  """
  names(config)
  if not all(rho >= 0.0 for rho in config.rhos):
    raise ValueError(f'rhos {tuple(config.rhos)} are not all at least 0')
  for row in rows(config).values():
    federated_config.validate(changed(config, row))


def rows(config: Any) -> dict[str, rows_lib.Row]:
  """Returns all rows of a configuration by name."""
  return rows_lib.TABLE | rows_lib.curve(tuple(config.rhos))


def names(config: Any) -> tuple[str, ...]:
  """Returns the names of the rows that are run.

  Raises:
    ValueError: there is no row of a name, or a row lacks one that it needs.
  """
  every = rows(config)
  chosen = tuple(config.only) or tuple(every)
  for name in chosen:
    if name not in every:
      raise ValueError(f'row {name!r} is not one of {", ".join(every)}')
    for other in rows_lib.needs(every[name]):
      if other not in chosen:
        raise ValueError(f'row {name!r} needs the row {other!r}')
  return chosen


def stages(config: Any) -> list[list[list[str]]]:
  """Returns the trials: first those that others need."""
  every, chosen = rows(config), names(config)
  needy = [name for name in chosen if rows_lib.needs(every[name])]
  first = [[name] for name in chosen if name not in needy]
  if config.timed_rounds:
    first.append([SPEED])
  return [first, [[name] for name in needy]] if needy else [first]


def changed(config: Any, row: rows_lib.Row) -> Any:
  """Returns the configuration of a row."""
  made = config.copy_and_resolve_references()
  for name, value in row.changes.items():
    (made if name in made else made.meta)[name] = value
  return made


class Bench:
  """The data, loaded when they are first needed."""

  def __init__(self, config: Any, workdir: str):
    """Makes the bench of a configuration."""
    self.config, self.workdir = config, workdir
    self.problem = functools.cache(lambda: federated_data.load(config))
    self.test = functools.cache(self._test)
    self.validation = functools.cache(self._validation)

  def _test(self) -> tasks_lib.Task:
    problem = self.problem()
    return evaluation.draw(
      problem.test, problem.shape, self.config.tasks, _TEST_SEED
    )

  def _validation(self) -> tasks_lib.Task:
    problem = self.problem()
    nodes = problem.validation or problem.train
    return evaluation.draw(
      nodes, problem.shape, self.config.tasks, _VALIDATION_SEED
    )

  def spec(self, config: Any) -> classifier.Spec:
    """Returns the network of a row's configuration."""
    problem = self.problem()
    shape = problem.train.images.shape[1:]
    return federated_config.spec(config, shape, problem.classes)

  def file(self, name: str, seed: int) -> pathlib.Path:
    """Returns the path of what a row learned."""
    folder = pathlib.Path(self.workdir) / 'bundles'
    return folder / f'{name}_s{seed}.safetensors'

  def learned(self, name: str) -> learn.Meta:
    """Returns what a row learned, with a leading axis S."""
    found = [
      classifier_files.load_meta(self.file(name, s))
      for s in range(self.config.seeds)
    ]
    return found[0]._replace(params=trees.stack([m.params for m in found]))


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name; those that others need first."""
  work = trials.workspace(workdir, config, stop)
  bench, every = Bench(config, workdir), rows(config)
  return {
    name: functools.partial(_speed, bench, stop)
    if name == SPEED
    else functools.partial(_trial, bench, work, name, every[name])
    for name in trials.names(stages(config))
  }


def _speed(bench: Bench, stop: trials.Stop) -> dict[str, Any]:
  """Times rounds of the configuration itself."""
  config = bench.config
  spec, how = bench.spec(config), federated_config.learning(config)
  given = bench.problem(), config.timed_rounds, stop
  timed = speed.measure(spec, how, *given)
  if config.network == 'conv4':
    timed['peers'] = speed.against_peers(spec, how, *given)
  return timed


def _trial(
  bench: Bench, work: workdir_lib.Workspace, name: str, row: rows_lib.Row
) -> dict[str, Any]:
  """Learns and scores a row; scores are lists over seeds and tasks."""
  config = changed(bench.config, row)
  if row.slim:
    config.width = slim_width(bench, config)
  spec, how = bench.spec(config), federated_config.learning(config)
  curve: list[dict[str, Any]] = []
  if row.learned:
    meta = _reused(bench, row, spec, how)
    sent = results.read(bench.workdir, row.learned)['bytes_per_round']
  else:
    meta = _learn(bench, work, name, spec, how)
    count = bench.problem().train.counts.shape[0]
    sent = measures.bytes_per_round(meta, how, count)
    curve = [
      {k: each[k] for k in ('step', 'loss', 'open', 'gradient_squared')}
      for each in work.recorder.rows(name)
    ]
  masks = None
  if row.how == 'random':
    masks = measures.random_masks(
      results.read(bench.workdir, row.learned), bench.config
    )
  score = evaluation.scorer(spec, how, True)
  scale = _selected(bench, score, meta) if row.tuned else 1.0
  held = score(meta.params, bench.validation(), scale, masks)
  scores = score(meta.params, bench.test(), scale, masks)
  accuracy, static = scores.accuracy, scores.static_accuracy
  validation = held.accuracy
  if row.how == 'before':
    accuracy = static = scores.before
    validation = held.before
  return records.plain({
    'accuracy': np.round(accuracy, 4),
    'static_accuracy': np.round(static, 4),
    # What settings may be chosen by.
    'validation': float(np.mean(validation)),
    'macs': float(np.mean(scores.macs)),
    'static_macs': float(np.mean(scores.static_macs)),
    'dense_macs': classifier.dense(bench.spec(bench.config)),
    'open': [np.mean(gate, (0, 1)) for gate in scores.gates],
    'overlap': measures.overlap(
      scores, bench.problem().topics if spec.gates != 'none' else []
    ),
    'scale': scale,
    # Tasks are of all test nodes in turn.
    'nodes': bench.problem().test.counts.shape[0],
    'width': config.width,
    'bytes_per_round': sent,
    'curve': curve,
    'runs': _runs(bench, meta, how, scale) if row.how == 'step' else None,
  })  # fmt: skip


def _learn(
  bench: Bench,
  work: workdir_lib.Workspace,
  name: str,
  spec: classifier.Spec,
  how: settings.Config,
) -> learn.Meta:
  problem, config = bench.problem(), bench.config
  meta, _ = learn.metagater(
    keys.of_seeds(config.seed, config.seeds), problem.train, spec,
    problem.shape, config=how, validation=problem.validation,
    hooks=work.hooks(None)(name),
  )  # fmt: skip
  meta = meta._replace(fixed=problem.fixed)
  for s in range(config.seeds):
    classifier_files.save(bench.file(name, s), meta.member(s))
  return meta


def _reused(
  bench: Bench,
  row: rows_lib.Row,
  spec: classifier.Spec,
  how: settings.Config,
) -> learn.Meta:
  """Returns what another row learned, with new gates if it has none."""
  meta = bench.learned(row.learned)
  if row.how != 'new_gates':
    return meta
  fresh = jax.vmap(functools.partial(meta_lib.start, spec, how))(
    keys.of_stage(bench.config.seed, bench.config.seeds, 1)
  )
  rates = {**fresh[meta_lib.RATES], gated.BACKBONE: meta.params[
    meta_lib.RATES][gated.BACKBONE]}  # fmt: skip
  params = {**fresh, gated.BACKBONE: meta.params[gated.BACKBONE]}
  return learn.Meta.learned(spec, {**params, meta_lib.RATES: rates}, how)


def _selected(bench: Bench, score: Any, meta: learn.Meta) -> float:
  """Returns the best factor of step sizes on validation nodes."""
  found = [
    float(np.mean(score(meta.params, bench.validation(), scale, None).accuracy))
    for scale in _SCALES
  ]
  return _SCALES[int(np.argmax(found))]


def slim_width(bench: Bench, config: Any) -> int:
  """Returns the width of the dense network that takes as much as `MAIN`."""
  wanted = results.read(bench.workdir, rows_lib.MAIN)['macs']
  spec = bench.spec(config)
  costs = {
    width: classifier.total(
      dataclasses.replace(spec, width=width, widths=(), groups=())
    )
    for width in range(1, config.width + 1)
  }
  return min(costs, key=lambda width: abs(costs[width] - wanted))


def _runs(
  bench: Bench, meta: learn.Meta, how: settings.Config, scale: float
) -> list[float] | None:
  """Returns accuracies of the 20 official one-shot runs, by seed."""
  config = bench.config
  if config.data != 'omniglot' or not config.official_runs:
    return None
  runs = omniglot.runs(omniglot.find(config.data_dir or None))
  return measures.official(runs, meta, how, scale)

"""Learns a stream by each learner, and scores every task after every one.

Shapes: T tasks, S seeds.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from coalesce_jax.continual import controls as continual_controls
from coalesce_jax.continual import counting
from coalesce_jax.continual import learners
from coalesce_jax.continual import one_network
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import trees
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.metrics import controls
from coalesce_jax.metrics import image_scores
from coalesce_jax.pipeline import fields
from coalesce_jax.pipeline import keys as keys_lib
from coalesce_jax.pipeline import stream_tasks
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.trials import trials
from experiments.continual import scoring
from experiments.continual.configs import rows

KINDS = tuple(scoring.MEASURES)
NARROWER = 'narrower'


def validate(config: Any) -> None:
  """Checks the settings of all trials before anything is done.

  Raises:
    ValueError: one line.
  """
  if config.kind not in KINDS:
    raise ValueError(f'kind {config.kind!r} is not one of {KINDS}')
  fields.positive(config, 'seeds')
  settings(config)
  for name in names(config):
    row = config.rows[name]
    if row.learner != NARROWER:
      learners.make(row.learner, 'unet', row.options.to_dict())


def names(config: Any) -> tuple[str, ...]:
  """Returns the names of the rows, the most important ones first.

  Raises:
    ValueError: there is no row of a name.
  """
  for name in config.only:
    if name not in config.rows:
      raise ValueError(f'row {name!r} is not one of {tuple(config.rows)}')
  # A configuration sorts its fields by name.
  known = [name for name in rows.LEARNERS if name in config.rows]
  others = [name for name in config.rows if name not in known]
  return tuple(config.only) or (*known, *others)


def settings(config: Any) -> stream_tasks.Settings:
  """Returns how each task is learned.

  Raises:
    ValueError: a setting is out of range.
  """
  return stream_tasks.Settings(
    data_dir=config.data_dir or None, select=False,
    **{
      name: config[name]
      for name in (
        'side', 'images', 'steps', 'width', 'critic_width', 'latent_size',
        'batch_size', 'learning_rate', 'fast_compile',
      )
    },
  )  # fmt: skip


class Bench:
  """The data of a stream, loaded when they are first needed."""

  def __init__(self, config: Any):
    """Makes the bench of a configuration."""
    self.config = config
    self.settings = settings(config)
    latent = config.kind == 'latents'
    self.sources = [
      stream_tasks.Source(
        tasks_lib.named(text.partition('=')[0]), text.partition('=')[2],
        stream_tasks.LATENT if latent else 'pix2pix',
      )
      for text in config.tasks
    ]  # fmt: skip
    self.tasks = functools.cache(self._tasks)
    self.latents = functools.cache(self._latents)

  def _tasks(self, coded: bool, widths: tuple[int, ...] = ()) -> list[Any]:
    """Returns the tasks, of networks of other widths if there are any."""
    sources, each = self.sources, []
    if not widths:
      each = stream_tasks.load(sources, self.settings, coded)
    for source, width in zip(sources, widths, strict=False):
      own = dataclasses.replace(self.settings, width=width)
      each += stream_tasks.load([source], own)
    if self.config.kind == 'latents':
      return each
    same: dict[Any, Any] = {}
    for k, task in enumerate(each):
      options = task.spec.options
      same.setdefault(options, scoring.translation(dict(options)))
      each[k] = task._replace(evaluate=same[options])
    return each

  def _latents(self) -> scoring.Latents:
    data = {
      source.name: (
        source.data,
        stream_tasks.latent_images(source.data, self.settings)[1],
      )
      for source in self.sources
    }
    return scoring.Latents(data, self.config.samples)

  def score(self) -> stream.Score | None:
    """Returns what scores generators, see `stream.run`."""
    return self.latents() if self.config.kind == 'latents' else None


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  work = trials.workspace(workdir, config, stop)
  bench = Bench(config)
  todo: dict[str, trials.Trial] = {
    'controls': functools.partial(_controls, bench)
  }
  for name in names(config):
    todo[name] = functools.partial(_learn, config, work, bench, name)
  return todo


def _controls(bench: Bench) -> dict[str, Any]:
  """Scores of what learns nothing, by task and name."""
  found: dict[str, Any] = {}
  for source in bench.sources:
    if bench.config.kind == 'latents':
      train, test = stream_tasks.latent_images(source.data, bench.settings)
      score = bench.latents().of_images
      some = np.random.default_rng(0).permutation(len(train))[: len(test)]
      found[source.name] = {
        'training images': score(source.name, train[np.sort(some)])
      }
      continue
    chosen = pair_settings.Settings(crop_size=bench.settings.side)
    pairs = pairs_lib.load(source.data, chosen, bench.settings.data_dir)
    train, held = (_first(half, n) for half, n in zip(
      pairs, (bench.settings.images, 128), strict=True
    ))  # fmt: skip
    found[source.name] = {
      name: {
        'l1': (scores := image_scores.evaluate(made, held.target))['l1'],
        'dssim': 1.0 - scores['ssim'],
      }
      for name, made in controls.predictions(train, held).items()
    }
  return records.plain({'controls': found})


def _first(half: pairs_lib.Pairs, count: int) -> pairs_lib.Pairs:
  """Returns the first pairs; 0 is all."""
  rows = slice(count or None)
  return half._replace(condition=half.condition[rows], target=half.target[rows])


def _learn(
  config: Any, work: workdir_lib.Workspace, bench: Bench, name: str
) -> dict[str, Any]:
  """Learns the stream; returns scores `[T, T, S]` and sizes."""
  row = config.rows[name]
  options = row.options.to_dict()
  coded = config.kind == 'latents' and row.learner in learners.SHARED
  tasks = bench.tasks(coded)
  whole = trees.count(jax.eval_shape(tasks[0].network.init, jax.random.key(0)))
  learner = row.learner
  if learner == NARROWER:
    tasks = bench.tasks(False, _widths(tasks, options.pop('share')))
    learner = 'standalone'
  made = learners.make(learner, tasks[0].spec.network, options)
  key = keys_lib.of_seeds(config.seed, config.seeds)
  stages = work.hooks(None)
  alone = _first_stage(learner, coded, row.learner)

  def hooks(part: str) -> Any:
    first = part == f'{made.name}_1'
    return stages(alone if first and alone else f'{name}_{part}')

  run = _joint if learner == 'joint' else stream.run
  result = run(key, made, tasks, hooks, bench.score())
  return records.plain({
    'learner': row.learner,
    'options': row.options.to_dict(),
    'tasks': [task.name for task in tasks],
    'scores': result.scores,
    'stored': result.stored,
    'bytes': result.bytes,
    'carried': result.carried,
    'whole': whole,
    'counted': _counted(row, tasks),
  })  # fmt: skip


def _first_stage(learner: str, coded: bool, row: str) -> str:
  """Returns the stage of the first task, which rows have in common.

  Every learner trains the first task alone, with the same random numbers, so
  that only the first row trains it and others read its checkpoint. Piggyback
  keeps it in other trees, and networks of codes have other shapes. '' is a
  stage of the row's own.
  """
  if row == NARROWER:
    return ''
  own = '_piggyback' if learner == 'piggyback' else ''
  return f'first{own}{"_coded" if coded else ""}'


def _counted(row: Any, tasks: Sequence[tasks_lib.Task]) -> list[int] | None:
  """Returns what the formula says that piggyback stores for each task."""
  if row.learner != 'piggyback':
    return None
  share = row.options.share
  return [counting.stored(x.spec, share, t).stored for t, x in enumerate(tasks)]


def _widths(tasks: Sequence[tasks_lib.Task], share: float) -> tuple[int, ...]:
  """Returns the widths of networks of as many parameters as tasks store."""
  found = []
  for t, task in enumerate(tasks):
    counted = counting.stored(task.spec, share, t).stored
    spec = continual_controls.narrower(task.spec, counted)
    found.append(dict(spec.options)['width'])
  return tuple(found)


def _joint(
  key: Any,
  learner: stream.Learner,
  tasks: Sequence[tasks_lib.Task],
  hooks: Callable[[str], Any],
  score: stream.Score | None,
) -> stream.Result:
  """Learns all tasks at once, only at the end; other rows are NaN."""
  before = one_network.State(None, tuple(tasks[:-1]))
  state, history = learner.learn(
    key, before, tasks[-1], hooks(f'{learner.name}_{len(tasks)}')
  )
  rows = [
    (score or stream.evaluate)(learner.generator(state, t, task), task, True)
    for t, task in enumerate(tasks)
  ]
  count = len(tasks)
  scores = {}
  for name in rows[0] or {}:
    last = np.stack([np.asarray(each[name]) for each in rows if each])
    full = np.full((count, *last.shape), np.nan)
    full[-1] = last
    scores[name] = full
  whole = trees.count(state.params) // len(key)
  stored = np.array([whole] + [0] * (count - 1))
  carried = np.zeros(count, int)
  carried[-1] = trees.count(learner.carried(state)) // len(key)
  return stream.Result(state, scores, stored, 4 * stored, carried, [history])

"""Learns a stream of tasks in a work folder: files, scores, report.

A task that is done is not trained again; one that was interrupted goes on from
its checkpoint to the same bits.

Shapes: T tasks, S seeds.
"""

from collections.abc import Callable, Sequence
import dataclasses
import io
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import family as family_lib
from coalesce_jax.continual import family_files
from coalesce_jax.continual import family_locks
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.models import bundle
from coalesce_jax.models import translator
from coalesce_jax.pipeline import replica_files
from coalesce_jax.pipeline import stream_config
from coalesce_jax.pipeline import stream_tables
from coalesce_jax.runs import figures
from coalesce_jax.runs import pictures
from coalesce_jax.runs import progress
from coalesce_jax.runs import records
from coalesce_jax.runs import report
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.runs.trackers import table

# Rows of a picture of a task, and samples of a grid.
_ROWS, _SAMPLES = 8, 64


def run(
  config: Any,
  workdir: str,
  out: str | None = None,
  stop: Callable[[], bool] = lambda: False,
  track: Sequence[str] = (),
) -> dict[str, Any]:
  """Learns all tasks, writes their generators, scores and the report.

  Args:
    config: see `stream_defaults`.
    workdir: folder of everything that the run leaves behind.
    out: file of the family; None is 'family.safetensors' in the folder.
      Replicas after the first get '_s1', '_s2' in its name. Only the learner
      'piggyback' makes a family; the others write bundles where they can.
    stop: whether a stop was asked for.
    track: trackers that get the metrics too.

  Returns:
    What the command prints.

  Raises:
    ValueError: bad settings or data; one line.
    loop.Interrupted: after a stop request, once the state is saved.
  """
  table.check(track)
  plan = stream_config.validate(config)
  if out is not None and config.learner != 'piggyback':
    raise ValueError(
      f'--out={out}: only the learner piggyback makes a family; '
      f'{config.learner} writes bundles to the work folder'
    )
  first = out or os.path.join(workdir, 'family.safetensors')
  paths = replica_files.paths(first, config.seeds)
  tasks = stream_config.tasks(plan, progress.steps)
  learner = stream_config.learner(config, tasks[0].spec.network)
  digests = {
    task.name: files.digest(
      np.ascontiguousarray(x) for x in jax.tree.leaves(task.problem.args)
    )
    for task in tasks
  }
  settings = config.to_dict() | {'data_sha256': digests, 'out': out or ''}
  with workdir_lib.open_workspace(
    workdir, config=settings, stop=stop, track=track
  ) as work:
    key = keys_of(config.seed, config.seeds)
    hooks = work.hooks(None)
    result = stream.run(key, learner, tasks, hooks)
    if config.learner == 'piggyback':
      made = _families(config, result, tasks, paths)
    else:
      made = _bundles(config, plan, learner, result, tasks, work.path)
    _pictures(learner, result, tasks, config.seeds > 1, work.path)
    found = _scores(result, tasks, work.path)
    page = report.write_folder(work.path)
    return {'workdir': str(work.path), **made, 'report': page['html'], **found}


def keys_of(seed: int, seeds: int) -> types.PRNGKey:
  """Returns the key of one replica, or `[S]` keys, each of its own seed."""
  if seeds == 1:
    return jax.random.key(seed)
  return jnp.stack([jax.random.key(seed + s) for s in range(seeds)])


def _families(
  config: Any,
  result: stream.Result,
  tasks: Sequence[tasks_lib.Task],
  paths: Sequence[str],
) -> dict[str, Any]:
  part = 'ab' if config.method == 'cyclegan' and _translates(tasks[0]) else ''
  for s, path in enumerate(paths):
    seed = s if config.seeds > 1 else None
    family = family_lib.from_state(result.state, tasks, seed, part)
    with family_locks.locked(path):
      family_files.save(path, family)
  return {
    'family': paths[0],
    'file_bytes': pathlib.Path(paths[0]).stat().st_size,
  }


def _bundles(
  config: Any,
  plan: stream_config.Plan,
  learner: stream.Learner,
  result: stream.Result,
  tasks: Sequence[tasks_lib.Task],
  folder: pathlib.Path,
) -> dict[str, Any]:
  """Writes the generator of each task, if a bundle can hold it."""
  paths = []
  for t, task in enumerate(tasks):
    model = learner.generator(result.state, t, task)
    # A bundle holds no adapters, and no code of a task.
    if model is None or model.network != task.network or plan.coded:
      continue
    provenance = {'stage': f'stream {config.learner}', 'dataset': task.name}
    for s in range(config.seeds):
      params = model.params
      if config.seeds > 1:
        params = trees.member(params, s)
      if config.method == 'cyclegan' and _translates(task):
        params = params['ab']
      seed = {'seed': str(config.seed + s)}
      spec = dataclasses.replace(task.spec, provenance=provenance | seed)
      path = folder / 'bundles' / f'{task.name}_s{s}.safetensors'
      bundle.save(path, translator.create(spec, params))
      paths.append(str(path))
  return {'bundles': paths}


def _translates(task: tasks_lib.Task) -> bool:
  return task.spec.condition_shape is not None


def _pictures(
  learner: stream.Learner,
  result: stream.Result,
  tasks: Sequence[tasks_lib.Task],
  batched: bool,
  folder: pathlib.Path,
) -> None:
  """Writes a picture of each task by its generator after the last task."""
  for t, task in enumerate(tasks):
    model = learner.generator(result.state, t, task)
    if model is None or len(task.spec.image_shape) != 3:
      continue
    params = trees.member(model.params, 0) if batched else model.params
    if _translates(task):
      condition, target = (x[:_ROWS] for x in task.held_out[-2:])
      made = model.network.apply(params, pixels.decode(jnp.asarray(condition)))
      sheet = pictures.columns([condition, np.asarray(made), target])
    else:
      z = sources.draw_one(task.held_out[-1], jax.random.key(0), _SAMPLES)
      made = np.asarray(model.network.apply(params, z))
      levels = np.stack([pictures.levels(image) for image in made])
      sheet = np.round(figures.tile(levels) * 255.0).astype(np.uint8)
    files.write_bytes(
      folder / 'pictures' / f'{task.name}.png', pictures.png(sheet)
    )
  text = (
    'Each row is one example. Columns: input, output, target.'
    if _translates(tasks[0])
    else 'Samples of each task after the last one.'
  )
  files.write_bytes(folder / 'pictures' / 'columns.txt', text.encode())


def _scores(
  result: stream.Result, tasks: Sequence[tasks_lib.Task], folder: pathlib.Path
) -> dict[str, Any]:
  """Writes scores and tables; returns what the command prints of them."""
  names = [task.name for task in tasks]
  main = next(iter(result.scores))
  whole = trees.count(jax.eval_shape(tasks[0].network.init, jax.random.key(0)))
  values = {
    'tasks': names,
    'scores': result.scores,
    'stored': result.stored,
    'bytes': result.bytes,
    'carried': result.carried,
    'share': result.stored / whole,
  }
  files.write_json(folder / 'scores.json', records.plain(values))
  added = result.stored.tolist(), result.bytes.tolist()
  text = [stream_tables.matrix(names, m, s) for s, m in result.scores.items()]
  text.append(stream_tables.summary(names, result.scores[main], main))
  text.append(stream_tables.sizes(names, *added, whole))
  files.write_bytes(folder / 'tables.md', '\n'.join(text).encode())
  drawn = stream_tables.heat(names, {main: result.scores[main]}, main)
  buffer = io.BytesIO()
  drawn.savefig(buffer, format='png', dpi=110)
  files.write_bytes(folder / 'pictures' / 'scores.png', buffer.getvalue())
  final = np.asarray(result.scores[main][-1])
  mean = final.reshape(len(names), -1).mean(1)
  return {
    'score': main,
    'final': {
      name: float(value) for name, value in zip(names, mean, strict=True)
    },
    'stored': [int(n) for n in result.stored],
  }

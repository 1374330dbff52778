"""Trains and scores translators, and scores what learns nothing.

Shapes: S seeds, N held-out images.
"""

from collections.abc import Callable
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np
from PIL import Image

from coalesce_jax.core import trees
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.metrics import controls
from coalesce_jax.metrics import spread
from coalesce_jax.models import bundle
from coalesce_jax.pipeline import fields
from coalesce_jax.runs import pictures
from coalesce_jax.training import loop
from coalesce_jax.translation import methods
from coalesce_jax.translation import scores
from coalesce_jax.translation import settings
from coalesce_jax.trials import trials
from experiments.translation import plots

Split = tuple[pairs_lib.Pairs, pairs_lib.Pairs]
# Rows of the picture of a trial.
_SHOWN = 8
MEASURES = ('l1', 'psnr', 'ssim', 'frechet', 'kid', 'frechet_random')
# Distances, and the names of their floors: those between real images.
FLOORS = {'frechet': 'real', 'frechet_random': 'real_random'}


def validate(config: Any) -> None:
  """Checks the settings of all trials before anything is done.

  Raises:
    ValueError: one line.
  """
  for name in _names(config):
    configured(config.runs[name], config.side)
  fields.positive(config, 'seeds')


def _names(config: Any) -> tuple[str, ...]:
  for name in config.only:
    if name not in config.runs:
      raise ValueError(f'run {name!r} is not one of {tuple(config.runs)}')
  return tuple(config.only) or tuple(config.runs)


def configured(run: Any, side: int) -> settings.Translation:
  """Returns the settings of a trial.

  Args:
    run: its fields, see `configs/default.py`.
    side: side of the images.

  Raises:
    ValueError: the method is unknown, or a setting is out of range.
  """
  if run.method not in settings.METHODS:
    raise ValueError(f'method {run.method!r} is not one of {settings.METHODS}')
  default = settings.default(run.method)
  chunk = loop.chunk_of(run.steps, 25)
  every = settings.SELECT_EVERY // chunk * chunk
  changes: dict[str, Any] = {}
  if run.batch_size:
    changes['batch_size'] = run.batch_size
  if run.lambda_identity >= 0.0:
    changes['lambda_identity'] = run.lambda_identity
  return dataclasses.replace(
    default,
    networks=dataclasses.replace(
      default.networks, net_g=run.net_g or default.networks.net_g,
      ngf=run.ngf, ndf=run.ndf,
      upsampling=run.upsampling or default.networks.upsampling,
      downs=max(1, min(8, side.bit_length() - 1)),
    ),
    schedule=dataclasses.replace(
      default.schedule, steps=run.steps, chunk=chunk, select_every=every
    ),
    **changes,
  )  # fmt: skip


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  names = _names(config)
  work = trials.workspace(workdir, config, stop)
  load = functools.cache(lambda task: _load(config, task))
  todo: dict[str, trials.Trial] = {}
  for task in dict.fromkeys(config.runs[name].task for name in names):
    todo[f'controls-{task}'] = functools.partial(_controls, load, task)
  for name in names:
    todo[name] = functools.partial(
      _train, config, work, load, name, pathlib.Path(workdir)
    )
  return todo


def _load(config: Any, task: str) -> Split:
  chosen = pair_settings.Settings(crop_size=config.side)
  train, held = pairs_lib.load(task, chosen, config.data_dir or None)
  if config.images:
    train = train._replace(
      condition=train.condition[: config.images],
      target=train.target[: config.images],
    )
  return train, held


def _scored(
  load: Callable[[str], Split], task: str, made: Any
) -> dict[str, Any]:
  """Returns scores, also by random features.

  Features of photographs see traces of a network that pixels hardly show, and
  take copies of other real pictures for good ones.
  """
  train, held = load(task)
  score = functools.partial(
    scores.score, made, held.target, held.paired, train=train.target
  )
  found = score()
  network = scores.features(held.target.shape[1:], 'random')
  if found.get('features', network.name) != network.name:
    other = score(network=network)
    found['frechet_random'] = other['frechet']
    found['real_random'] = other['real']
  return {
    name: value for name, value in found.items()
    if name in (*MEASURES, *FLOORS.values(), 'features')
  }  # fmt: skip


def _controls(load: Callable[[str], Split], task: str) -> dict[str, Any]:
  """Scores of what learns nothing, by name."""
  train, held = load(task)
  return {
    'task': task,
    'train': len(train.condition),
    'held_out': len(held.condition),
    'attribution': train.attribution,
    'scores': {
      name: _scored(load, task, made)
      for name, made in controls.predictions(train, held).items()
    },
  }


def _train(
  config: Any,
  work: Any,
  load: Callable[[str], Split],
  name: str,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  """Trains all seeds of a method on a task; returns scores, each `[S]`."""
  run = config.runs[name]
  train, held = load(run.task)
  keys = jax.random.split(jax.random.key(config.seed), config.seeds)
  hooks = work.hooks(None)
  made, _ = methods.train(
    run.method, keys, (train, held), config=configured(run, config.side),
    hooks=lambda part: hooks(f'{name}_{part}'),
  )  # fmt: skip
  rows, shown = [], []
  for s in range(config.seeds):
    one = made[0]._replace(
      params=jax.tree.map(lambda leaf, s=s: leaf[s], made[0].params)
    )
    (workdir / 'bundles').mkdir(exist_ok=True)
    bundle.save(workdir / 'bundles' / f'{name}_s{s}.safetensors', one)
    translated = np.asarray(one(held.condition))
    rows.append(_scored(load, run.task, translated))
    shown.append(translated[:_SHOWN])
  sheet = pictures.columns(
    [held.condition[:_SHOWN], *shown, held.target[:_SHOWN]]
  )
  (workdir / 'pictures').mkdir(exist_ok=True)
  squeezed = sheet[..., 0] if sheet.shape[-1] == 1 else sheet
  Image.fromarray(squeezed).save(workdir / 'pictures' / f'{name}.png')
  return {
    'task': run.task,
    'method': run.method,
    'steps': run.steps,
    'parameters': trees.count(made[0].params) // config.seeds,
    'scores': {k: [row[k] for row in rows] for k in rows[0]},
  }


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes one table a task, with its controls."""
  del config
  lines: list[str] = []
  tasks = {
    name: r for name, r in results.items() if name.startswith('controls-')
  }
  for control in tasks.values():
    task = control['task']
    rows = [
      (f'control: {name}', found) for name, found in control['scores'].items()
    ] + [
      (f'{name} ({r["method"]}, {r["steps"]} steps)', r['scores'])
      for name, r in results.items()
      if r['task'] == task and 'method' in r
    ]  # fmt: skip
    columns = [m for m in MEASURES if any(m in found for _, found in rows)]
    lines += [
      f'{task}: {control["train"]} for training, {control["held_out"]} held '
      f'out. {control["attribution"]}'.rstrip(),
      '',
      f'| | {" | ".join(columns)} |',
      '|---|' + '---:|' * len(columns),
    ]
    for label, found in rows:
      cells = [_cell(found.get(m)) for m in columns]
      lines.append(f'| {label} | {" | ".join(cells)} |')
    floors = {
      measure: next((f[name] for _, f in rows if name in f), None)
      for measure, name in FLOORS.items()
    }
    if any(value is not None for value in floors.values()):
      floors = {
        measure: value[0] if isinstance(value, list) else value
        for measure, value in floors.items()
      }
      cells = [_cell(floors.get(m)) for m in columns]
      lines.append(f'| real | {" | ".join(cells)} |')
    lines.append('')
  best = {
    name: float(np.mean(r['scores']['l1']))
    for name, r in results.items()
    if 'method' in r and 'l1' in r['scores']
  }
  drawn = plots.scores(results)
  return trials.Report(
    {'trials': results}, {'l1': best}, '\n'.join(lines),
    figures={} if drawn is None else {'scores': drawn},
  )  # fmt: skip


def _cell(value: Any) -> str:
  if value is None:
    return ''
  if isinstance(value, list):
    values = [v for v in value if v is not None]
    digits = 1 if np.mean(np.abs(values)) >= 10.0 else 3
    return (
      f'{np.mean(values):.{digits}f} ± {spread.deviation(values):.{digits}f}'
      if len(values) > 1
      else f'{values[0]:.{digits}f}'
    )
  return f'{value:.{1 if abs(value) >= 10.0 else 3}f}'

"""Scores of a run: all measures by method, curves, sample grids, the summary.

Shapes: S seeds.
"""

from collections.abc import Callable
import pathlib
from typing import Any

from absl import logging
import jax
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import generators
from coalesce_jax.metrics import spread
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.pipeline import data
from coalesce_jax.runs import progress
from coalesce_jax.runs import records
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop

Generators = list[generator.Generator]


def score(
  config: Any,
  problem: data.Problem,
  made: dict[str, Generators],
  work: workdir.Workspace,
  stop: Callable[[], bool],
) -> dict[str, dict[str, Any]]:
  """All measures by method, each a list over seeds; kept in `scores.json`."""
  path = work.path / 'scores.json'
  rows = {
    name: row
    for name, row in _kept(path).items()
    if name in made and _is_row(row, len(made[name]))
  }
  bar = progress.steps('evaluate', len(made))
  for i, (name, seeds) in enumerate(made.items(), 1):
    if name not in rows:
      if stop():
        raise loop.Interrupted(f'{i - 1} of {len(made)} methods evaluated')
      logging.info('evaluating %s', name)
      results = []
      for s, member in enumerate(seeds):
        images = np.asarray(
          member.sample(jax.random.key(10_000 + s), config.evaluate.samples)
        )
        found = evaluate.evaluate(images, problem.reference, problem.local[s])
        found['parameters'] = trees.count(member.params)
        found['bytes'] = bundle.size_bytes(member)
        results.append(found)
      # What is kept is what is reported, now and again.
      rows[name] = records.plain(
        {k: [r[k] for r in results] for k in results[0]}
      )
      files.write_json(path, rows)
    bar(i)
  return rows


def _kept(path: pathlib.Path) -> dict[str, Any]:
  """Reads the scores that are done; what is damaged is evaluated again."""
  if not path.is_file():
    return {}
  try:
    return files.read_json(path)
  except ValueError as error:
    logging.warning('%s: evaluating again', error)
    return {}


def _is_row(row: Any, count: int) -> bool:
  """Whether a value has the form of the scores of a method, of each seed."""
  if not isinstance(row, dict):
    return False
  numbers = (int, float, type(None))
  return {'frechet', 'real', 'w1_real', 'bytes'} <= row.keys() and all(
    isinstance(values, list)
    and len(values) == count
    and all(isinstance(value, numbers) for value in values)
    for values in row.values()
  )


def summarize(
  path: pathlib.Path,
  paths: dict[str, str],
  scores: dict[str, dict[str, Any]],
  made: dict[str, Generators],
  problem: data.Problem,
) -> dict[str, Any]:
  """The one-line result."""
  frechet = {k: float(np.mean(v['frechet'])) for k, v in scores.items()}
  deviation = {k: spread.deviation(v['frechet']) for k, v in scores.items()}
  frechet['real'] = problem.reference.floor
  sizes = {'float': scores['adapted']['bytes'][0]}
  if 'ternary' in scores:
    sizes['ternary'] = max(scores['ternary']['bytes'])
  return {
    'workdir': str(path),
    'report': paths['html'],
    'frechet': {k: round(v, 3) for k, v in frechet.items()},
    'frechet_std': {k: round(v, 3) for k, v in deviation.items()},
    'seeds': len(made['adapted']),
    'bytes': sizes,
  }


def curve(config: Any, problem: data.Problem, params: Any) -> list[float]:
  """Frechet distance of each seed's generator on a smaller sample."""
  return generators.frechet(
    generator.create(problem.spec, params),
    problem.reference,
    config.evaluate.curve_samples,
    [jax.random.key(20_000 + s) for s in range(config.seeds)],
  )


def grids(
  problem: data.Problem, made: dict[str, Generators], count: int = 64
) -> dict[str, np.ndarray]:
  """Images of every method's first seed, and real ones."""
  real = problem.held_out
  rows = np.random.default_rng(0).permutation(len(real))[:count]
  grids = {'real': real[rows], 'local samples': problem.local[0][:count]}
  for name, seeds in made.items():
    grids[name] = np.asarray(seeds[0].sample(jax.random.key(0), count))
  return grids

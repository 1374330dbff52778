"""Ablations as trials: nodes, then variants; what seeds together cost.

Nodes are trained once and shared by all variants that name them.

Shapes: K nodes, S seeds, N local samples.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import stages as stages_lib
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.trials import trials
from experiments.ablations import seeds as seeds_lib
from experiments.ablations import tables
from experiments.ablations import variants

# Scores of the stages before the last one, by stage.
_SCORES = {'barycenter': 'metamodel', 'adapted': 'float'}


def validate(config: Any) -> None:
  """Checks every setting before anything is done.

  Raises:
    ValueError: one line with the field.
  """
  for variant in _chosen(config).values():
    config_lib.validate(pipeline(config, variant))


def stages(config: Any) -> list[list[list[str]]]:
  """Trials by stages and tasks, see `trials.Stages`."""
  chosen = _chosen(config)
  return [
    [[name] for name in _needed(chosen)],
    [[f'play-{name}'] for name in _first(config)],
    [['seeds']] if config.together.seeds else [],
  ]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials, by name, in the order in which they build on each other.

  Raises:
    ValueError: settings that no stage takes; one line.
  """
  validate(config)
  chosen = _chosen(config)
  work = trials.workspace(workdir, config, stop)
  load = functools.cache(lambda split: _load(config, split))
  todo: dict[str, trials.Trial] = {}
  for name, (split, index, corrupted) in _needed(chosen).items():
    todo[name] = functools.partial(
      _node, config, work, load, name, split, index, corrupted
    )
  for name, variant in _first(config).items():
    todo[f'play-{name}'] = functools.partial(
      _train, config, work, load, name, variant
    )
  if config.together.seeds:
    todo['seeds'] = functools.partial(
      seeds_lib.measure, config.shared, **config.together.to_dict(), stop=stop
    )
  return todo


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows and `corrupted`, what one bad node of five adds to a score."""
  summary = summarise(config, results)
  line = {
    'rows': len(summary['rows']), 'corrupted': tables.corrupted(summary),
  }  # fmt: skip
  drawn = {'ablations': tables.draw(summary)} if summary['rows'] else {}
  return trials.Report(summary, line, tables.write(summary), drawn)


def summarise(
  config: Any, results: dict[str, dict[str, Any]]
) -> dict[str, Any]:
  """Rows of all variants, and the trial of the seeds."""
  same = _same(config)
  rows = [
    {
      'name': name, 'group': variant.group, 'label': variant.label,
      'kind': variant.kind, 'split': variant.split,
      'corrupted': variant.corrupted, **results[f'play-{same[name]}'],
    }
    for name, variant in _chosen(config).items()
  ]  # fmt: skip
  return {
    'rows': rows,
    'nodes': {
      name: result['frechet']
      for name, result in results.items()
      if name.startswith('node-')
    },
    'seeds': results.get('seeds'),
  }


def _chosen(config: Any) -> dict[str, variants.Variant]:
  table = variants.TABLE
  for name in config.variants:
    if name not in table:
      raise ValueError(f'variant {name!r} is not one of {list(table)}')
  return {name: table[name] for name in config.variants or table}


def _same(config: Any) -> dict[str, str]:
  """Variant -> the first one of the same settings, whose trial it shares."""
  found: dict[str, str] = {}
  first: dict[tuple[str, str, str], str] = {}
  for name, variant in _chosen(config).items():
    made = pipeline(config, variant).to_json_best_effort(sort_keys=True)
    key = (made, variant.corrupted, variant.kind)
    found[name] = first.setdefault(key, name)
  return found


def _first(config: Any) -> dict[str, variants.Variant]:
  """The variants that have a trial of their own."""
  names = dict.fromkeys(_same(config).values())
  return {name: variants.TABLE[name] for name in names}


def _needed(
  chosen: dict[str, variants.Variant],
) -> dict[str, tuple[str, int, str]]:
  """Trials of nodes: name -> split, index of the node, what corrupts it."""
  found = {}
  for variant in chosen.values():
    count = len(partition.parse(variant.split).nodes)
    for k in range(count):
      bad = variant.corrupted if k == count - 1 else ''
      found[_node_name(variant.split, k, bad)] = (variant.split, k, bad)
  return found


def _node_name(split: str, index: int, corrupted: str) -> str:
  if corrupted:
    return f'node-{corrupted}'
  classes = partition.parse(split).nodes[index]
  return f'node-{"_".join(map(str, classes))}-{index}'


def pipeline(config: Any, variant: variants.Variant) -> Any:
  """Returns the configuration of the pipeline for a variant."""
  changes = {'split': variant.split, **variant.changes}
  return config_lib.override(config.shared, changes)


def _load(config: Any, split: str) -> data.Problem:
  return data.load(pipeline(config, variants.Variant('', '', split=split)))


def _images(
  config: Any, problem: data.Problem, index: int, corrupted: str
) -> np.ndarray:
  """What a node is trained on, uint8."""
  images = problem.nodes[index]
  if corrupted == 'noise':
    rng = np.random.default_rng(config.shared.seed)
    return rng.integers(0, 256, images.shape, np.uint8)
  if corrupted:
    other = datasets.load(config.other, 'train').images
    if other.shape[1:] != images.shape[1:]:
      raise ValueError(
        f'other {config.other}: images {other.shape[1:]} are not '
        f'{images.shape[1:]}'
      )
    return other
  return images


def _node(config, work, load, name, split, index, corrupted):
  problem = load(split)
  images = _images(config, problem, index, corrupted)
  stage = stages_lib.TABLE['pretrain']._replace(number=10 + index)
  (made,) = stage.run(
    config.shared, dataclasses.replace(problem, nodes=[images]), {},
    _hooks(work, name),
  )  # fmt: skip
  ensembles.write(work.path / 'bundles', name, made, {'stage': name})
  work.clear(f'{name}-pretrain')
  return {'frechet': _frechet(config, problem, made)}


def _train(config, work, load, name, variant):
  problem, settings = load(variant.split), pipeline(config, variant)
  count = len(problem.nodes)
  bad = ['' for _ in range(count - 1)] + [variant.corrupted]
  done = {
    'pretrain': [
      _read(config, work, _node_name(variant.split, k, bad[k]))
      for k in range(count)
    ]
  }
  result: dict[str, Any] = {}
  hooks = _hooks(work, name)
  *_, last = variants.STAGES[variant.kind]
  for stage in variants.STAGES[variant.kind]:
    done[stage.name] = stage.run(settings, problem, done, hooks)
    scored = 'edge' if stage is last else _SCORES[stage.name]
    result[scored] = _scores(config, problem, done[stage.name][0])
  (edge,) = done[last.name]
  result['bytes'] = bundle.size_bytes(ensembles.member(edge, 0))
  for kept in list((work.path / 'checkpoints').glob(f'{name}-*')):
    work.clear(kept.name)
  return result


def _hooks(work: workdir_lib.Workspace, name: str) -> Any:
  made = work.hooks(None)
  return lambda part: made(f'{name}-{part}')


def _read(
  config: Any, work: workdir_lib.Workspace, name: str
) -> generator.Generator:
  return ensembles.read(work.path / 'bundles', name, config.shared.seeds)


def _scores(
  config: Any, problem: data.Problem, made: generator.Generator
) -> dict[str, list[float]]:
  """Measures of every seed, lists by name."""
  return generators.scores(
    made, problem.reference, config.shared.evaluate.samples, problem.local
  )


def _frechet(
  config: Any, problem: data.Problem, made: generator.Generator
) -> list[float]:
  seeds = range(config.shared.seeds)
  return generators.frechet(
    made, problem.reference, config.shared.evaluate.samples,
    [jax.random.key(10_000 + s) for s in seeds],
  )  # fmt: skip

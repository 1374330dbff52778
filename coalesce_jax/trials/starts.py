"""What the methods of a setting share: node models and metamodels.

Each is trained once for all seeds, and kept as bundles from which methods read.

Shapes: K nodes, S seeds.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.metrics import generators
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import recipes
from coalesce_jax.pipeline import stages
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop
from coalesce_jax.trials import evaluation
from coalesce_jax.trials import methods
from coalesce_jax.trials import setting as setting_lib


def _plain(config: Any) -> barycenter_lib.Config:
  """Settings of a metamodel that learns from fresh samples of the nodes."""
  return dataclasses.replace(
    config_lib.barycenter(config), fixed_samples=0, refine=None
  )


def _onwards(config: Any) -> barycenter_lib.Config:
  """Settings of one that starts from the first node's generator."""
  return dataclasses.replace(_plain(config), start=0)


def _paper(config: Any) -> barycenter_lib.Config:
  """Settings of one with the habits of the paper's published code."""
  plain = _plain(config)
  paper = barycenter_lib.paper_code(plain.schedule.steps)
  game = dataclasses.replace(
    plain.game, gp_norm=paper.game.gp_norm, reuse_batch=paper.game.reuse_batch
  )
  return dataclasses.replace(
    paper, game=game, schedule=plain.schedule, decay=plain.decay
  )


def _last_node(run: recipes.Run) -> generator.Generator:
  """All of the weight on the last node: a transfer onwards to its samples."""
  weights = np.eye(len(run.nodes))[-1]
  return recipes.barycenter(
    run, method='mixture', objective=None, weights=weights
  )


TABLE: dict[str, stages.Stage] = {
  stage.name: stage
  for stage in (
    stages.Stage(
      'nodes', recipes.pretrain, 1, (), config_lib.pretrain, per_node=True
    ),
    stages.Stage(
      'barycenter',
      lambda run: recipes.barycenter(run, objective=None),
      2,
      settings=_plain,
    ),
    stages.Stage(
      'mixture',
      lambda run: recipes.barycenter(run, method='mixture', objective=None),
      5,
      settings=_plain,
    ),
    stages.Stage(
      'refined',
      lambda run: recipes.barycenter(run, method='mixture', objective=None),
      6,
      settings=config_lib.barycenter,
    ),
    stages.Stage(
      'barycenter_paper',
      lambda run: recipes.barycenter(run, method='joint', objective='w1'),
      3,
      settings=_paper,
    ),
    stages.Stage('sequential', _last_node, 4, settings=_onwards),
  )
}


def needed(names: Sequence[str]) -> list[str]:
  """Selects what methods of these names start from, the nodes first."""
  wanted = {start for name in names for start in methods.TABLE[name].starts}
  return [name for name in TABLE if name in {'nodes', *wanted}]


def train(
  setting: setting_lib.Setting, work: workdir.Workspace, name: str
) -> dict[str, Any]:
  """Trains one of the table and keeps its bundles: a trial.

  Args:
    setting: the data, and the configuration of the pipeline.
    work: folder of bundles, records and checkpoints.
    name: of the table.

  Returns:
    `frechet`: by name of the bundles the squared Frechet distance of each seed
    to the held-out split.
  """
  stage, nodes = TABLE[name], len(setting.problem.nodes)
  seeds = range(setting.config.seeds)
  done = {
    each: [read(work, setting, node, seeds) for node in nodes_of(setting)]
    for each in stage.inputs
  }
  made = work.hooks(None)
  prefix = f'{setting.name}-{name}-'

  def hooks(part: str) -> loop.Hooks:
    return made(f'{prefix}{part}')

  found = stage.run(setting.config, setting.problem, done, hooks)
  scores = {}
  for each, generators_of_seeds in zip(
    stage.results(nodes), found, strict=True
  ):
    write(work, setting, each, generators_of_seeds)
    scores[each] = frechet(setting, generators_of_seeds)
  for kept in list((work.path / 'checkpoints').glob(f'{prefix}*')):
    work.clear(kept.name)
  return {'frechet': scores}


def nodes_of(setting: setting_lib.Setting) -> list[str]:
  """Names of the bundles of the nodes."""
  return TABLE['nodes'].results(len(setting.problem.nodes))


def frechet(
  setting: setting_lib.Setting, made: generator.Generator
) -> list[float]:
  """Squared Frechet distance of every replica, to the held-out split."""
  return generators.frechet(
    made,
    setting.problem.reference,
    setting.config.evaluate.curve_samples,
    [jax.random.key(evaluation.LATENTS)] * ensembles.count(made),
  )


def read(
  work: workdir.Workspace,
  setting: setting_lib.Setting,
  name: str,
  seeds: Sequence[int],
) -> generator.Generator:
  """Reads replicas of these seeds, repeated where a seed is, as one."""
  folder = _folder(work, setting)
  found = {s: bundle.load(ensembles.path(folder, name, s)) for s in set(seeds)}
  return ensembles.batched([found[s] for s in seeds])


def write(
  work: workdir.Workspace,
  setting: setting_lib.Setting,
  name: str,
  made: generator.Generator,
) -> None:
  """Keeps a generator of S seeds."""
  provenance = {
    'dataset': setting.config.dataset, 'split': setting.config.split,
    'stage': name, 'seed': str(setting.config.seed),
  }  # fmt: skip
  ensembles.write(_folder(work, setting), name, made, provenance)


def _folder(
  work: workdir.Workspace, setting: setting_lib.Setting
) -> pathlib.Path:
  return work.path / 'bundles' / setting.name

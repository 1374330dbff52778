"""The methods: each is a few lines on the one game.

Shapes: S members (seeds, or learning rates), N local samples.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax import adaptation
from coalesce_jax import baselines
from coalesce_jax import generators
from coalesce_jax import mining
from coalesce_jax import mixtures
from coalesce_jax import refinement
from coalesce_jax import stage
from experiments.coalesce import settings as settings_lib
from experiments.coalesce import train as coalesce_train


class Run(NamedTuple):
  """What a method gets.

  Attributes:
    key: `[S]` keys.
    local: `[S, N, H, W, C]`, uint8.
    nodes: K generators, each of S members, as all that follow.
    starts: others by name: those of `shared.stages`, and results of methods
      that went before.
    values: `[S]`, of the method's variants.
    distance: `[S]`, W1 between barycenter and local samples as its critics saw
      it, where a method that went before has measured it.
    config: the budget, with a learning rate a member.
    target: all training images of the target, `[M, H, W, C]`, uint8.
    settings: of the pipeline, for this data set.
    hooks: effects.
  """

  key: jax.Array
  local: jax.Array
  nodes: list[generators.Generator]
  starts: dict[str, generators.Generator]
  values: np.ndarray
  distance: np.ndarray
  config: adaptation.Config
  target: np.ndarray
  settings: Any
  hooks: stage.HooksFor


class Method(NamedTuple):
  """A row, or one for each variant.

  Attributes:
    label: in tables.
    play: the method.
    ours: whether it coalesces.
    variants: the field of the configuration that lists them, or ''.
    trains: whether it takes steps, and so has a rate and a step to choose.
    after: methods that have to be done before, in the same setting.
    starts: what is shared and the method needs, beside the nodes.
  """

  label: str
  play: Callable[[Run], generators.Generator]
  ours: bool = False
  variants: str = ''
  trains: bool = True
  after: tuple[str, ...] = ()
  starts: tuple[str, ...] = ()


def _with(run: Run, *, augment: bool = False, **changes: Any) -> Any:
  """The budget, with augmentation, changes of the game and of the stage."""
  game: dict[str, Any] = {
    k: changes.pop(k) for k in ('freeze', 'objective') if k in changes
  }
  if augment:
    game['augment'] = run.settings.adapt.augment
  return dataclasses.replace(
    run.config, game=dataclasses.replace(run.config.game, **game), **changes
  )


def _edge_only(run: Run, augment: bool = False) -> Any:
  return baselines.edge_only(
    run.key, run.nodes[0].spec, run.local,
    config=_with(run, augment=augment), hooks=run.hooks,
  )[0]  # fmt: skip


def _full(run: Run) -> generators.Generator:
  """All training images of the target: what no edge node has."""
  images = jax.numpy.broadcast_to(
    jax.numpy.asarray(run.target), (len(run.key), *run.target.shape)
  )
  return _adapt(run._replace(local=images), 'refined', anchor=0.0)


def _transfer(run: Run, augment: bool = False, freeze: bool = False) -> Any:
  nearest = coalesce_train.nearest_node(run.nodes, run.local)
  return baselines.transfer(
    run.key, nearest, run.local, config=_with(run, augment=augment),
    hooks=run.hooks, rate=1.0, freeze=baselines.FREEZE_D if freeze else (),
  )[0]  # fmt: skip


def _sequential(run: Run) -> generators.Generator:
  return baselines.transfer(
    run.key, run.starts['sequential'], run.local, config=run.config,
    hooks=run.hooks, rate=1.0,
  )[0]  # fmt: skip


def _ensemble(run: Run) -> generators.Generator:
  return baselines.ensemble(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks
  )[0]


def _mined(run: Run) -> generators.Generator:
  return mining.mine(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks
  )[0]


def _adapt(
  run: Run, start: str = 'barycenter', **changes: Any
) -> generators.Generator:
  return adaptation.adapt(
    run.key, run.starts[start], run.local, config=_with(run, **changes),
    hooks=run.hooks,
  )[0]  # fmt: skip


def _judged(
  run: Run, start: generators.Generator, **changes: Any
) -> generators.Generator:
  """From a start, by the critics of all nodes and of the metamodel."""
  return adaptation.adapt(
    run.key, start, run.local, hooks=run.hooks,
    config=_with(run, anchor=0.0, objective='w1', **changes),
    judges=(*run.nodes, run.starts['refined']),
  )[0]  # fmt: skip


def _ball(run: Run) -> generators.Generator:
  return _adapt(
    run, 'refined', objective='ball', radius=run.values * run.distance
  )


def _paper_code(run: Run) -> generators.Generator:
  paper = adaptation.paper_code(run.config.schedule.steps)
  game = dataclasses.replace(
    run.config.game, objective='w1', gp_norm=paper.game.gp_norm,
    reuse_batch=paper.game.reuse_batch,
  )  # fmt: skip
  config = dataclasses.replace(
    paper, game=game, schedule=run.config.schedule, rate=run.config.rate,
    generator_rate=run.config.generator_rate, held_out=run.config.held_out,
  )  # fmt: skip
  return adaptation.adapt(
    run.key, run.starts['barycenter_paper'], run.local, config=config,
    hooks=run.hooks,
  )[0]  # fmt: skip


def _ternary(run: Run) -> generators.Generator:
  """After adaptation, which is done; anchored at its result."""
  config = settings_lib.ternary(run.settings)
  return adaptation.ternarize(
    run.key, run.starts['ours_free'], run.local,
    config=dataclasses.replace(
      config, schedule=run.config.schedule, warmup=run.config.warmup,
      rate=run.config.rate, generator_rate=run.config.generator_rate,
    ),
    hooks=run.hooks,
  )[0]  # fmt: skip


TABLE: dict[str, Method] = {
  'edge_only': Method('edge only', _edge_only),
  'edge_augment': Method(
    'edge only, augmentation', lambda run: _edge_only(run, augment=True)
  ),
  'transfer': Method('transfer', _transfer),
  'transfer_freeze_augment': Method(
    'transfer, FreezeD, augmentation',
    lambda run: _transfer(run, augment=True, freeze=True),
  ),
  'sequential': Method(
    'transfer through both nodes', _sequential, starts=('sequential',)
  ),
  'ensemble': Method('ensemble', _ensemble),
  'model_average': Method(
    'mean of weights',
    lambda run: baselines.model_average(run.nodes),
    trains=False,
  ),
  'mined': Method('MineGAN', _mined),
  'nodes': Method(
    'all nodes as they are',
    lambda run: mixtures.mixture(run.nodes),
    trains=False,
  ),
  'nodes_refined': Method(
    'all nodes, refined',
    lambda run: mixtures.mixture(
      run.nodes,
      refine=refinement.Config(steps=run.settings.barycenter.refine_steps),
    ),
    ours=True,
    trains=False,
  ),
  'barycenter': Method(
    'midpoint as it is',
    lambda run: run.starts['barycenter'],
    ours=True,
    trains=False,
    starts=('barycenter',),
  ),
  'mixture': Method(
    'mixture as it is',
    lambda run: run.starts['mixture'],
    ours=True,
    trains=False,
    starts=('mixture',),
  ),
  'refined': Method(
    'refined mixture as it is',
    lambda run: run.starts['refined'],
    ours=True,
    trains=False,
    starts=('refined',),
  ),
  'ours_free': Method(
    'refined, no anchor',
    lambda run: _adapt(run, 'refined', anchor=0.0),
    ours=True,
    starts=('refined',),
  ),
  'ours_judged': Method(
    'nearest node, all critics',
    lambda run: _judged(run, coalesce_train.nearest_node(run.nodes, run.local)),
    ours=True,
    starts=('refined',),
  ),
  'ours_sequential': Method(
    'transfer through both nodes, all critics',
    lambda run: _judged(run, run.starts['sequential']),
    ours=True,
    starts=('refined', 'sequential'),
  ),
  'ours_together': Method(
    'all nodes together, all critics',
    lambda run: _judged(run, mixtures.mixture(run.nodes)),
    ours=True,
    starts=('refined',),
  ),
  'ours_together_augment': Method(
    'all nodes together, all critics, augmentation',
    lambda run: _judged(run, mixtures.mixture(run.nodes), augment=True),
    ours=True,
    starts=('refined',),
  ),
  'ours_together_freeze_augment': Method(
    'all nodes together, all critics, FreezeD, augmentation',
    lambda run: _judged(
      run, mixtures.mixture(run.nodes), augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours': Method(
    'refined, anchor',
    lambda run: _adapt(run, 'refined', anchor=run.values),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_mixed': Method(
    'refined, mixed with the anchor',
    lambda run: _adapt(run, 'refined', anchor=run.values, mixed=True),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_ball': Method(
    'refined, ball',
    _ball,
    ours=True,
    variants='radii',
    after=('ours',),
    starts=('refined',),
  ),
  'ours_free_freeze_augment': Method(
    'refined, no anchor, FreezeD, augmentation',
    lambda run: _adapt(
      run, 'refined', anchor=0.0, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours_freeze_augment': Method(
    'refined, anchor 0.5, FreezeD, augmentation',
    lambda run: _adapt(
      run, 'refined', anchor=0.5, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'paper_code': Method(
    "the paper's code", _paper_code, starts=('barycenter_paper',)
  ),
  'ternary': Method(
    'refined, no anchor, ternary', _ternary, ours=True, after=('ours_free',)
  ),
  'full': Method('refined, all training images', _full, starts=('refined',)),
}

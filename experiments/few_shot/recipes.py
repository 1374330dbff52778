"""How the methods play: each is a few lines on the one game.

Shapes: S members (seeds, or learning rates), N local samples.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.methods import adaptation
from coalesce_jax.methods import baselines
from coalesce_jax.methods import minegan
from coalesce_jax.methods import mixture
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as settings_lib
from coalesce_jax.pipeline import nearest as nearest_lib
from coalesce_jax.training import loop

# What a ball is a part of at least, in units of the samples; digits are about
# ten from each other.
LEAST_DISTANCE = 0.01


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
  nodes: list[generator.Generator]
  starts: dict[str, generator.Generator]
  values: np.ndarray
  distance: np.ndarray
  config: adaptation.Config
  target: np.ndarray
  settings: Any
  hooks: loop.HooksFor


def budget(config: Any, settings: Any, rates: np.ndarray) -> adaptation.Config:
  """What every method has of steps, from the pipeline's settings.

  Args:
    config: of the experiment.
    settings: of the pipeline.
    rates: `[M, 2]`, factors of the learning rate, and of the generator's.
  """
  part = config.budget
  game = settings_lib.pretrain(settings).game
  return adaptation.Config(
    game=dataclasses.replace(
      game, objective='w1_squared', decay_steps=0,
      generator_batches=part.generator_batches,
    ),
    schedule=loop.Schedule(
      steps=part.steps, chunk=part.chunk, observe_every=part.look_every
    ),
    anchor=0.5,
    warmup=part.warmup,
    held_out=part.held_out,
    rate=np.asarray(rates[:, 0], np.float32),
    generator_rate=np.asarray(rates[:, 1], np.float32),
  )  # fmt: skip


def _with(run: Run, *, augment: bool = False, **changes: Any) -> Any:
  """The budget, with augmentation, changes of the game and of the stage."""
  game: dict[str, Any] = {
    k: changes.pop(k)
    for k in ('freeze', 'objective', 'batch_size')
    if k in changes
  }
  if augment:
    game['augment'] = run.settings.adapt.augment
  return dataclasses.replace(
    run.config, game=dataclasses.replace(run.config.game, **game), **changes
  )


def edge_only(run: Run, augment: bool = False) -> generator.Generator:
  return baselines.edge_only(
    run.key, run.nodes[0].spec, run.local,
    config=_with(run, augment=augment), hooks=run.hooks,
  )[0]  # fmt: skip


def full(run: Run) -> generator.Generator:
  """All training images of the target: what no edge node has."""
  images = jax.numpy.broadcast_to(
    jax.numpy.asarray(run.target), (len(run.key), *run.target.shape)
  )
  return adapt(run._replace(local=images), 'refined', anchor=0.0)


def nearest(run: Run) -> generator.Generator:
  """The node that is nearest to the local samples."""
  return nearest_lib.nearest_node(run.nodes, run.local)


def transfer(
  run: Run,
  start: generator.Generator,
  augment: bool = False,
  freeze: bool = False,
  **changes: Any,
) -> generator.Generator:
  """From a start and its critic, at the rate of the budget."""
  return baselines.transfer(
    run.key, start, run.local, config=_with(run, augment=augment, **changes),
    hooks=run.hooks, rate=1.0, freeze=baselines.FREEZE_D if freeze else (),
  )[0]  # fmt: skip


def ensemble(run: Run) -> generator.Generator:
  return baselines.ensemble(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks,
    share=run.values,
  )[0]  # fmt: skip


def mined(run: Run) -> generator.Generator:
  return minegan.mine(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks
  )[0]


def adapt(
  run: Run, start: str = 'barycenter', **changes: Any
) -> generator.Generator:
  return adaptation.adapt(
    run.key, run.starts[start], run.local, config=_with(run, **changes),
    hooks=run.hooks,
  )[0]  # fmt: skip


def judged(
  run: Run,
  start: generator.Generator,
  judges: Sequence[generator.Generator],
  **changes: Any,
) -> generator.Generator:
  """From a start, by the critics of several generators."""
  return adaptation.adapt(
    run.key, start, run.local, hooks=run.hooks, judges=judges,
    config=_with(run, anchor=0.0, objective='w1', **changes),
  )[0]  # fmt: skip


def onwards(run: Run, **changes: Any) -> generator.Generator:
  """From transfer through all nodes, by its critic and those of the nodes."""
  start = run.starts['sequential']
  return judged(run, start, (start, *run.nodes), **changes)


def alike(run: Run, **changes: Any) -> generator.Generator:
  """The same with as many critics, all of them that of the start."""
  start = run.starts['sequential']
  return judged(run, start, (start,) * (1 + len(run.nodes)), **changes)


def larger(run: Run, **changes: Any) -> generator.Generator:
  """The start's critic alone, by batches as many times as large."""
  size = (1 + len(run.nodes)) * run.config.game.batch_size
  return transfer(run, run.starts['sequential'], batch_size=size, **changes)


def together(run: Run, **changes: Any) -> generator.Generator:
  """All nodes, by their critics and that of the metamodel."""
  judges = (*run.nodes, run.starts['refined'])
  return judged(run, mixture.mixture(run.nodes), judges, **changes)


def ball(run: Run) -> generator.Generator:
  # The critics' first estimate, which may be below zero where there is hardly
  # a distance: then there is hardly a ball.
  radius = run.values * np.maximum(run.distance, LEAST_DISTANCE)
  return adapt(run, 'refined', objective='ball', radius=radius)


def paper_code(run: Run) -> generator.Generator:
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


def ternary(run: Run) -> generator.Generator:
  """After adaptation, which is done; anchored at its result."""
  config = settings_lib.ternary(run.settings)
  game = dataclasses.replace(
    config.game, generator_batches=run.config.game.generator_batches
  )
  return adaptation.ternarize(
    run.key, run.starts['ours_free'], run.local,
    config=dataclasses.replace(
      config, game=game, schedule=run.config.schedule,
      warmup=run.config.warmup, rate=run.config.rate,
      generator_rate=run.config.generator_rate,
    ),
    hooks=run.hooks,
  )[0]  # fmt: skip

"""How the pipeline's generators are trained: each a few lines on `methods/`.

A recipe takes a `Run`, all that it may need, and returns generators of S seeds.
What it does not train from is left out of the `Run`.

Shapes: K nodes, S seeds (or other replicas), N local samples.
"""

from collections.abc import Mapping
import dataclasses
import types
from typing import Any, NamedTuple

import jax

from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter as barycenter_lib
from coalesce_jax.methods import baselines
from coalesce_jax.methods import mixture
from coalesce_jax.methods import pretraining
from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import nearest
from coalesce_jax.training import loop


class Run(NamedTuple):
  """What a recipe is given.

  Attributes:
    key: `[S]` keys; consumed.
    problem: images of the nodes and of the target, and the architecture.
    local: local samples, `[S, N, H, W, C]`, uint8.
    config: settings of what is trained, of the type that its method takes.
    settings: configuration of the pipeline.
    nodes: K generators, each of S seeds.
    starts: other generators to start from, by name, each of S seeds.
    values: a hyperparameter of the method for each replica, `[S]`; None is the
      method's default.
    distance: W1 between metamodel and local samples as critics estimated it,
      `[S]`, where it is known.
    hooks: effects.
  """

  key: jax.Array
  problem: data.Problem
  local: Any
  config: Any
  settings: Any
  nodes: list[generator.Generator]
  starts: Mapping[str, generator.Generator] = types.MappingProxyType({})
  values: Any = None
  distance: Any = None
  hooks: loop.HooksFor | None = None


# Fields of the game among the changes of `change`.
_GAME = ('augment', 'batch_size', 'freeze', 'objective')


def change(run: Run, **changes: Any) -> Run:
  """Replaces settings of fine-tuning, those of its game among them.

  Args:
    run: with settings of type `adaptation.Config`.
    **changes: fields of these settings, or one of `augment`, `batch_size`,
      `freeze` and `objective` of the game.
  """
  game = {name: changes.pop(name) for name in _GAME if name in changes}
  game_config = dataclasses.replace(run.config.game, **game)
  config = dataclasses.replace(run.config, game=game_config, **changes)
  return run._replace(config=config)


def pretrain(run: Run) -> list[generator.Generator]:
  """Trains one generator and critic a node."""
  return pretraining.pretrain(
    run.key, run.problem.nodes, run.problem.spec, config=run.config,
    hooks=run.hooks,
  )[0]  # fmt: skip


def barycenter(run: Run, **changes: Any) -> generator.Generator:
  """Trains the metamodel of all nodes.

  Args:
    run: with settings of type `barycenter.Config`.
    **changes: arguments of `barycenter.barycenter` other than those that the
      pipeline's configuration names.
  """
  part = run.settings.barycenter
  named = {'method': part.method, 'objective': part.objective or None}
  return barycenter_lib.barycenter(
    run.key, run.nodes, config=run.config, hooks=run.hooks, **named | changes
  )[0]


def edge_only(run: Run) -> generator.Generator:
  """Trains new networks, like the nodes', on the local samples alone."""
  spec = run.nodes[0].spec
  return baselines.edge_only(
    run.key, spec, run.local, config=run.config, hooks=run.hooks
  )[0]


def nearest_node(run: Run) -> generator.Generator:
  """Selects the node that is nearest to the local samples."""
  return nearest.nearest_node(run.nodes, run.local)


def transfer(
  run: Run, start: generator.Generator | None = None
) -> generator.Generator:
  """Fine-tunes a generator and its critic at the rate of the settings.

  Args:
    run: its settings name the leaves of the critic that are frozen.
    start: the generator; None is the nearest node.
  """
  return baselines.transfer(
    run.key, nearest_node(run) if start is None else start, run.local,
    config=run.config, hooks=run.hooks, rate=1.0,
    freeze=run.config.game.freeze,
  )[0]  # fmt: skip


def ensemble(run: Run) -> generator.Generator:
  """Trains on samples of all nodes and local ones, pooled."""
  return baselines.ensemble(
    run.key, run.nodes, run.local, config=run.config, hooks=run.hooks,
    share=run.values,
  )[0]  # fmt: skip


def ensemble_long(run: Run) -> generator.Generator:
  """Trains as `ensemble` does, with records and checkpoints of its own."""
  hooks = run.hooks
  own = None if hooks is None else lambda _: hooks('ensemble_long')
  return ensemble(run._replace(hooks=own))


def model_average(run: Run) -> generator.Generator:
  """Averages the nodes' parameters."""
  return baselines.model_average(run.nodes)


def all_nodes(run: Run) -> generator.Generator:
  """Keeps all nodes as one generator, with DOT where the settings have it."""
  return mixture.mixture(run.nodes, refine=config_lib.refine(run.settings))


def adapt(run: Run, start: str = 'barycenter') -> generator.Generator:
  """Adapts a generator to the local samples, held near it by the anchor."""
  return adaptation.adapt(
    run.key, run.starts[start], run.local, config=run.config, hooks=run.hooks
  )[0]


def ternarize(run: Run, start: str = 'adapted') -> generator.Generator:
  """Trains a ternary copy of a generator, anchored at it."""
  return adaptation.ternarize(
    run.key, run.starts[start], run.local, config=run.config, hooks=run.hooks
  )[0]

"""The stages of `coalesce run`, one row each, in order.

The table says everything about a stage: the order, the names that
`config.methods` may list, the seeds' keys, what is saved and what is observed
come from it. A stage of S seeds is one program.

Shapes: K nodes, S seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import recipes
from coalesce_jax.training import loop

Generators = list[generator.Generator]


class Stage(NamedTuple):
  """One stage.

  Attributes:
    name: of the stage and its records; of its bundles, unless there is one a
      node.
    recipe: trains the generators; one, or one a node.
    number: is folded into the key of each seed; None where nothing is random.
    inputs: names of the stages whose results it starts from.
    settings: reads the settings of the recipe from the configuration.
    per_node: whether it trains and saves one generator a node.
    observed: whether its generator is evaluated while it learns.
    optional: whether it runs only where `config.methods` names it.
  """

  name: str
  recipe: Callable[[recipes.Run], generator.Generator | Generators]
  number: int | None
  inputs: tuple[str, ...] = ('pretrain',)
  settings: Callable[[Any], Any] = config_lib.adapt
  per_node: bool = False
  observed: bool = True
  optional: bool = True

  def results(self, nodes: int) -> list[str]:
    """Names of the generators that it saves, where there are K nodes."""
    if self.per_node:
      return [f'node_{k}' for k in range(nodes)]
    return [self.name]

  def run(
    self,
    config: Any,
    problem: data.Problem,
    done: Mapping[str, Sequence[generator.Generator]],
    hooks: loop.HooksFor | None = None,
  ) -> Generators:
    """Trains the generators, each of S seeds.

    Args:
      config: configuration of the pipeline.
      problem: its data.
      done: results by stage, at least those of `inputs`.
      hooks: effects.
    """
    found = self.recipe(
      recipes.Run(
        key=keys.of_stage(config.seed, config.seeds, self.number or 0),
        problem=problem,
        local=jnp.asarray(problem.local),
        config=self.settings(config),
        settings=config,
        nodes=list(done.get('pretrain', ())),
        starts={name: done[name][0] for name in self.inputs},
        hooks=hooks,
      )
    )
    return found if isinstance(found, list) else [found]


TABLE: dict[str, Stage] = {
  stage.name: stage
  for stage in (
    Stage(
      'pretrain', recipes.pretrain, 1, (), config_lib.pretrain,
      per_node=True, observed=False, optional=False,
    ),
    Stage(
      'barycenter', recipes.barycenter, 2, settings=config_lib.barycenter,
      observed=False, optional=False,
    ),
    Stage('edge_only', recipes.edge_only, 3),
    Stage('transfer', recipes.transfer, 4, settings=config_lib.transfer),
    Stage('ensemble', recipes.ensemble, 5),
    Stage(
      'ensemble_long', recipes.ensemble_long, 8,
      settings=config_lib.ensemble_long,
    ),
    Stage('model_average', recipes.model_average, None),
    Stage('all_nodes', recipes.all_nodes, None),
    Stage(
      'adapted', recipes.adapt, 6, ('barycenter',), config_lib.adapted,
      optional=False,
    ),
    Stage('ternary', recipes.ternarize, 7, ('adapted',), config_lib.ternary),
  )
}  # fmt: skip


def selected(config: Any) -> list[Stage]:
  """Selects the stages of a run, in order.

  Args:
    config: `methods` names the optional ones.

  Raises:
    ValueError: `methods` names none of these; one line.
  """
  names = [name for name, stage in TABLE.items() if not stage.per_node]
  for name in config.methods:
    if name not in names:
      raise ValueError(f'method {name!r} is not one of {tuple(names)}')
  return [
    stage
    for stage in TABLE.values()
    if not stage.optional or stage.name in config.methods
  ]

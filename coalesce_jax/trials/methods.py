"""The one table of methods, from which every experiment selects its rows.

A method makes a generator of S replicas from a `recipes.Run`: the nodes, local
samples, what others have trained before, and the settings of training.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coalesce_jax.methods import baselines
from coalesce_jax.methods import mixture
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.pipeline import recipes as stage
from coalesce_jax.trials import recipes

Recipe = Callable[[stage.Run], generator.Generator]


def _size_of_bundle(made: generator.Generator, settings: Any) -> int:
  del settings
  return bundle.size_bytes(made)


class Method(NamedTuple):
  """A row, or one for each variant.

  Attributes:
    label: in tables.
    recipe: trains, combines, or only selects.
    ours: whether it coalesces.
    variants: field of an experiment's configuration that lists the values of
      its hyperparameter; '' is that it has none.
    trains: whether it takes steps, and so has a rate and a step to select.
    competes: whether it may be the best of its side; not where it sees more
      than the local samples, or is stored in fewer bits.
    after: methods from whose results, in the same setting, it goes on.
    starts: metamodels of `starts.TABLE` that it needs, beside the nodes.
    size: ``(one replica, configuration of the pipeline) -> bytes`` of the file
      that ships.
  """

  label: str
  recipe: Recipe
  ours: bool = False
  variants: str = ''
  trains: bool = True
  competes: bool = True
  after: tuple[str, ...] = ()
  starts: tuple[str, ...] = ()
  size: Callable[[generator.Generator, Any], int] = _size_of_bundle


def leads_on(name: str) -> bool:
  """Says whether other methods go on from the result of this one."""
  return any(name in method.after for method in TABLE.values())


def values(config: Any, name: str) -> tuple[float, ...]:
  """Reads the values of a method's hyperparameter, one a variant.

  Args:
    config: configuration of an experiment, with the field `Method.variants`.
    name: of the method.

  Returns:
    V values; one of no meaning where the method has no hyperparameter.
  """
  variants = TABLE[name].variants
  return tuple(config[variants]) if variants else (0.0,)


def ordered(names: Sequence[str]) -> list[str]:
  """Orders methods so that each comes after those that it goes on from.

  Raises:
    ValueError: no such method, or one that goes on from a method left out.
  """
  for name in names:
    if name not in TABLE:
      raise ValueError(f'method {name!r} is not one of {list(TABLE)}')
    missing = set(TABLE[name].after) - set(names)
    if missing:
      raise ValueError(f'method {name!r} goes after {sorted(missing)}')
  return [name for name in TABLE if name in names]


def _as_it_is(start: str) -> Recipe:
  return lambda run: run.starts[start]


def _transfer(start: str) -> Recipe:
  return lambda run: stage.transfer(run, run.starts[start])


def _adapt(start: str, **changes: Any) -> Recipe:
  return lambda run: stage.adapt(stage.change(run, **changes), start)


def _anchored(start: str, **changes: Any) -> Recipe:
  """Of each replica the anchor weight is its value."""
  return lambda run: _adapt(start, anchor=run.values, **changes)(run)


def _augmented(recipe: Recipe, **changes: Any) -> Recipe:
  return lambda run: recipe(recipes.augmented(run, **changes))


TABLE: dict[str, Method] = {
  'edge_only': Method('edge only', stage.edge_only),
  'edge_augment': Method(
    'edge only, augmentation', _augmented(stage.edge_only),
  ),
  'transfer': Method('transfer', stage.transfer),
  'transfer_augment': Method(
    'transfer, augmentation', _augmented(stage.transfer),
  ),
  'transfer_freeze_augment': Method(
    'transfer, FreezeD, augmentation',
    _augmented(stage.transfer, freeze=baselines.FREEZE_D),
  ),
  'sequential': Method(
    'transfer through both nodes', _transfer('sequential'),
    starts=('sequential',),
  ),
  'sequential_augment': Method(
    'transfer through both nodes, augmentation',
    _augmented(_transfer('sequential')), starts=('sequential',),
  ),
  # Of what more critics give without what other nodes know.
  'sequential_alike': Method(
    'transfer through both nodes, its critic three times',
    recipes.alike, starts=('sequential',),
  ),
  'sequential_alike_augment': Method(
    'transfer through both nodes, its critic three times, augmentation',
    _augmented(recipes.alike), starts=('sequential',),
  ),
  'sequential_larger': Method(
    'transfer through both nodes, batches three times as large',
    recipes.larger, starts=('sequential',),
  ),
  'sequential_larger_augment': Method(
    'transfer through both nodes, batches three times as large, augmentation',
    _augmented(recipes.larger), starts=('sequential',),
  ),
  'ensemble': Method('ensemble', stage.ensemble, variants='shares'),
  'model_average': Method('mean of weights', stage.model_average, trains=False),
  'mined': Method(
    'MineGAN, generators frozen', recipes.mined, size=recipes.size_of_mined,
  ),
  'borrowed': Method('Piggyback, filters of all nodes', recipes.borrowed),
  'nodes': Method(
    'all nodes as they are', lambda run: mixture.mixture(run.nodes),
    trains=False,
  ),
  'nodes_refined': Method(
    'all nodes, refined', stage.all_nodes, ours=True, trains=False,
  ),
  'barycenter': Method(
    'midpoint as it is', _as_it_is('barycenter'), ours=True, trains=False,
    starts=('barycenter',),
  ),
  'mixture': Method(
    'mixture as it is', _as_it_is('mixture'), ours=True, trains=False,
    starts=('mixture',),
  ),
  'refined': Method(
    'refined mixture as it is', _as_it_is('refined'), ours=True, trains=False,
    starts=('refined',),
  ),
  'ours_free': Method(
    'refined, no anchor', _adapt('refined', anchor=0.0), ours=True,
    starts=('refined',),
  ),
  'ours_judged': Method(
    'nearest node, all critics', recipes.with_all_critics, ours=True,
    starts=('refined',),
  ),
  'ours_sequential': Method(
    'transfer through both nodes, all critics', recipes.onwards, ours=True,
    starts=('sequential',),
  ),
  'ours_sequential_augment': Method(
    'transfer through both nodes, all critics, augmentation',
    _augmented(recipes.onwards), ours=True, starts=('sequential',),
  ),
  'ours_together': Method(
    'all nodes together, all critics', recipes.together, ours=True,
    starts=('refined',),
  ),
  'ours_together_augment': Method(
    'all nodes together, all critics, augmentation',
    _augmented(recipes.together), ours=True, starts=('refined',),
  ),
  'ours_together_freeze_augment': Method(
    'all nodes together, all critics, FreezeD, augmentation',
    _augmented(recipes.together, freeze=baselines.FREEZE_D), ours=True,
    starts=('refined',),
  ),
  'ours': Method(
    'refined, anchor', _anchored('refined'), ours=True, variants='anchors',
    starts=('refined',),
  ),
  'ours_mixed': Method(
    'refined, mixed with the anchor', _anchored('refined', mixed=True),
    ours=True, variants='anchors', starts=('refined',),
  ),
  'ours_ball': Method(
    'refined, ball', recipes.ball, ours=True, variants='radii',
    after=('ours',), starts=('refined',),
  ),
  'ours_free_freeze_augment': Method(
    'refined, no anchor, FreezeD, augmentation',
    _augmented(_adapt('refined'), anchor=0.0, freeze=baselines.FREEZE_D),
    ours=True, starts=('refined',),
  ),
  'ours_freeze_augment': Method(
    'refined, anchor 0.5, FreezeD, augmentation',
    _augmented(_adapt('refined'), anchor=0.5, freeze=baselines.FREEZE_D),
    ours=True, starts=('refined',),
  ),
  'ours_midpoint': Method(
    'midpoint, anchor', _anchored('barycenter'), ours=True,
    variants='anchors', starts=('barycenter',),
  ),
  'paper_code': Method(
    "the paper's code", recipes.paper_code, starts=('barycenter_paper',),
  ),
  'ternary': Method(
    'refined, no anchor, ternary', recipes.ternary, ours=True,
    competes=False, after=('ours_free',),
  ),
  'full': Method(
    'refined, all training images',
    lambda run: _adapt('refined', anchor=0.0)(recipes.all_images(run)),
    competes=False, starts=('refined',),
  ),
  # The first node alone, and what makes it small.
  'node': Method('first node as it is', lambda run: run.nodes[0], trains=False),
  'node_trained': Method(
    'first node, all training images', recipes.train_node, competes=False,
  ),
  'node_8_bits': Method(
    'first node, 8 bits', recipes.round_node, trains=False, competes=False,
    size=recipes.size_of_8_bits,
  ),
  'node_ternary': Method(
    'first node, ternary without training', recipes.ternarize_node,
    trains=False, competes=False,
  ),
}  # fmt: skip

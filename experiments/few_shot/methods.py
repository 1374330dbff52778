"""The methods: the rows of the tables."""

from collections.abc import Callable
from typing import NamedTuple

from coalesce_jax.gan import refined_source
from coalesce_jax.methods import baselines
from coalesce_jax.methods import mixture
from coalesce_jax.models import generator
from experiments.few_shot import recipes


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
  play: Callable[[recipes.Run], generator.Generator]
  ours: bool = False
  variants: str = ''
  trains: bool = True
  after: tuple[str, ...] = ()
  starts: tuple[str, ...] = ()


TABLE: dict[str, Method] = {
  'edge_only': Method('edge only', recipes.edge_only),
  'edge_augment': Method(
    'edge only, augmentation', lambda run: recipes.edge_only(run, augment=True)
  ),
  'transfer': Method(
    'transfer', lambda run: recipes.transfer(run, recipes.nearest(run))
  ),
  'transfer_augment': Method(
    'transfer, augmentation',
    lambda run: recipes.transfer(run, recipes.nearest(run), augment=True),
  ),
  'transfer_freeze_augment': Method(
    'transfer, FreezeD, augmentation',
    lambda run: recipes.transfer(
      run, recipes.nearest(run), augment=True, freeze=True
    ),
  ),
  'sequential': Method(
    'transfer through both nodes',
    lambda run: recipes.transfer(run, run.starts['sequential']),
    starts=('sequential',),
  ),
  'sequential_augment': Method(
    'transfer through both nodes, augmentation',
    lambda run: recipes.transfer(run, run.starts['sequential'], augment=True),
    starts=('sequential',),
  ),
  # Of what more critics give without what other nodes know.
  'sequential_alike': Method(
    'transfer through both nodes, its critic three times',
    recipes.alike,
    starts=('sequential',),
  ),
  'sequential_alike_augment': Method(
    'transfer through both nodes, its critic three times, augmentation',
    lambda run: recipes.alike(run, augment=True),
    starts=('sequential',),
  ),
  'sequential_larger': Method(
    'transfer through both nodes, batches three times as large',
    recipes.larger,
    starts=('sequential',),
  ),
  'sequential_larger_augment': Method(
    'transfer through both nodes, batches three times as large, augmentation',
    lambda run: recipes.larger(run, augment=True),
    starts=('sequential',),
  ),
  'ensemble': Method('ensemble', recipes.ensemble, variants='shares'),
  'model_average': Method(
    'mean of weights',
    lambda run: baselines.model_average(run.nodes),
    trains=False,
  ),
  'mined': Method('MineGAN, generators frozen', recipes.mined),
  'nodes': Method(
    'all nodes as they are',
    lambda run: mixture.mixture(run.nodes),
    trains=False,
  ),
  'nodes_refined': Method(
    'all nodes, refined',
    lambda run: mixture.mixture(
      run.nodes,
      refine=refined_source.Config(steps=run.settings.barycenter.refine_steps),
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
    lambda run: recipes.adapt(run, 'refined', anchor=0.0),
    ours=True,
    starts=('refined',),
  ),
  'ours_judged': Method(
    'nearest node, all critics',
    lambda run: recipes.judged(
      run, recipes.nearest(run), (*run.nodes, run.starts['refined'])
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours_sequential': Method(
    'transfer through both nodes, all critics',
    recipes.onwards,
    ours=True,
    starts=('sequential',),
  ),
  'ours_sequential_augment': Method(
    'transfer through both nodes, all critics, augmentation',
    lambda run: recipes.onwards(run, augment=True),
    ours=True,
    starts=('sequential',),
  ),
  'ours_together': Method(
    'all nodes together, all critics',
    recipes.together,
    ours=True,
    starts=('refined',),
  ),
  'ours_together_augment': Method(
    'all nodes together, all critics, augmentation',
    lambda run: recipes.together(run, augment=True),
    ours=True,
    starts=('refined',),
  ),
  'ours_together_freeze_augment': Method(
    'all nodes together, all critics, FreezeD, augmentation',
    lambda run: recipes.together(run, augment=True, freeze=baselines.FREEZE_D),
    ours=True,
    starts=('refined',),
  ),
  'ours': Method(
    'refined, anchor',
    lambda run: recipes.adapt(run, 'refined', anchor=run.values),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_mixed': Method(
    'refined, mixed with the anchor',
    lambda run: recipes.adapt(run, 'refined', anchor=run.values, mixed=True),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_ball': Method(
    'refined, ball',
    recipes.ball,
    ours=True,
    variants='radii',
    after=('ours',),
    starts=('refined',),
  ),
  'ours_free_freeze_augment': Method(
    'refined, no anchor, FreezeD, augmentation',
    lambda run: recipes.adapt(
      run, 'refined', anchor=0.0, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours_freeze_augment': Method(
    'refined, anchor 0.5, FreezeD, augmentation',
    lambda run: recipes.adapt(
      run, 'refined', anchor=0.5, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'paper_code': Method(
    "the paper's code", recipes.paper_code, starts=('barycenter_paper',)
  ),
  'ternary': Method(
    'refined, no anchor, ternary',
    recipes.ternary,
    ours=True,
    after=('ours_free',),
  ),
  'full': Method(
    'refined, all training images', recipes.full, starts=('refined',)
  ),
}

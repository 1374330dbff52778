"""The methods: the rows of the tables."""

from collections.abc import Callable
from typing import NamedTuple

from coalesce_jax import baselines
from coalesce_jax import generators
from coalesce_jax import mixtures
from coalesce_jax import refinement
from experiments.few_shot import plays


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
  play: Callable[[plays.Run], generators.Generator]
  ours: bool = False
  variants: str = ''
  trains: bool = True
  after: tuple[str, ...] = ()
  starts: tuple[str, ...] = ()


TABLE: dict[str, Method] = {
  'edge_only': Method('edge only', plays.edge_only),
  'edge_augment': Method(
    'edge only, augmentation', lambda run: plays.edge_only(run, augment=True)
  ),
  'transfer': Method(
    'transfer', lambda run: plays.transfer(run, plays.nearest(run))
  ),
  'transfer_augment': Method(
    'transfer, augmentation',
    lambda run: plays.transfer(run, plays.nearest(run), augment=True),
  ),
  'transfer_freeze_augment': Method(
    'transfer, FreezeD, augmentation',
    lambda run: plays.transfer(
      run, plays.nearest(run), augment=True, freeze=True
    ),
  ),
  'sequential': Method(
    'transfer through both nodes',
    lambda run: plays.transfer(run, run.starts['sequential']),
    starts=('sequential',),
  ),
  'sequential_augment': Method(
    'transfer through both nodes, augmentation',
    lambda run: plays.transfer(run, run.starts['sequential'], augment=True),
    starts=('sequential',),
  ),
  # Of what more critics give without what other nodes know.
  'sequential_alike': Method(
    'transfer through both nodes, its critic three times',
    plays.alike,
    starts=('sequential',),
  ),
  'sequential_alike_augment': Method(
    'transfer through both nodes, its critic three times, augmentation',
    lambda run: plays.alike(run, augment=True),
    starts=('sequential',),
  ),
  'sequential_larger': Method(
    'transfer through both nodes, batches three times as large',
    plays.larger,
    starts=('sequential',),
  ),
  'sequential_larger_augment': Method(
    'transfer through both nodes, batches three times as large, augmentation',
    lambda run: plays.larger(run, augment=True),
    starts=('sequential',),
  ),
  'ensemble': Method('ensemble', plays.ensemble, variants='shares'),
  'model_average': Method(
    'mean of weights',
    lambda run: baselines.model_average(run.nodes),
    trains=False,
  ),
  'mined': Method('MineGAN, generators frozen', plays.mined),
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
    lambda run: plays.adapt(run, 'refined', anchor=0.0),
    ours=True,
    starts=('refined',),
  ),
  'ours_judged': Method(
    'nearest node, all critics',
    lambda run: plays.judged(
      run, plays.nearest(run), (*run.nodes, run.starts['refined'])
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours_sequential': Method(
    'transfer through both nodes, all critics',
    plays.onwards,
    ours=True,
    starts=('sequential',),
  ),
  'ours_sequential_augment': Method(
    'transfer through both nodes, all critics, augmentation',
    lambda run: plays.onwards(run, augment=True),
    ours=True,
    starts=('sequential',),
  ),
  'ours_together': Method(
    'all nodes together, all critics',
    plays.together,
    ours=True,
    starts=('refined',),
  ),
  'ours_together_augment': Method(
    'all nodes together, all critics, augmentation',
    lambda run: plays.together(run, augment=True),
    ours=True,
    starts=('refined',),
  ),
  'ours_together_freeze_augment': Method(
    'all nodes together, all critics, FreezeD, augmentation',
    lambda run: plays.together(run, augment=True, freeze=baselines.FREEZE_D),
    ours=True,
    starts=('refined',),
  ),
  'ours': Method(
    'refined, anchor',
    lambda run: plays.adapt(run, 'refined', anchor=run.values),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_mixed': Method(
    'refined, mixed with the anchor',
    lambda run: plays.adapt(run, 'refined', anchor=run.values, mixed=True),
    ours=True,
    variants='anchors',
    starts=('refined',),
  ),
  'ours_ball': Method(
    'refined, ball',
    plays.ball,
    ours=True,
    variants='radii',
    after=('ours',),
    starts=('refined',),
  ),
  'ours_free_freeze_augment': Method(
    'refined, no anchor, FreezeD, augmentation',
    lambda run: plays.adapt(
      run, 'refined', anchor=0.0, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'ours_freeze_augment': Method(
    'refined, anchor 0.5, FreezeD, augmentation',
    lambda run: plays.adapt(
      run, 'refined', anchor=0.5, augment=True, freeze=baselines.FREEZE_D
    ),
    ours=True,
    starts=('refined',),
  ),
  'paper_code': Method(
    "the paper's code", plays.paper_code, starts=('barycenter_paper',)
  ),
  'ternary': Method(
    'refined, no anchor, ternary',
    plays.ternary,
    ours=True,
    after=('ours_free',),
  ),
  'full': Method(
    'refined, all training images', plays.full, starts=('refined',)
  ),
}

"""Few local samples: coalescing against every baseline a user would try.

A setting is a data set and a split of its classes over nodes. Node models,
barycenters and the other starts are made once a setting; then every method
gets the same local samples, the same number of generator steps, and a learning
rate and a step to stop at that are chosen by one rule on other local samples.

  python -m experiments.few_shot.main --workdir=DIR \
    --config=experiments/few_shot/configs/default.py

`:quick` is a smoke test. Others: `--config.settings='("mnist:disjoint",)'`,
`--config.samples='(8,20)'`, `--config.methods='("transfer","ours")'`.
"""

import ml_collections

from experiments.coalesce.configs import base
from experiments.few_shot import methods


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The grid for two cores; `quick`: one setting of a few steps.

  Raises:
    ValueError: another variant.
  """
  if variant not in ('', 'quick'):
    raise ValueError(f"variant {variant!r} is not '' or 'quick'")
  shared = base.get_config()
  base.choose(shared, variant)
  # Of the grid: the seeds and local samples of every trial.
  for field in ('dataset', 'split', 'local_samples', 'seed', 'seeds',
                'methods', 'adapt', 'transfer', 'tensorboard'):  # fmt: skip
    del shared[field]
  # Of the metamodel 'refined' alone.
  shared.barycenter.fixed_samples, shared.barycenter.refine_steps = 8000, 10
  # All but 'sequential'.
  shared.barycenter.warm_generator = False
  if not variant:
    shared.network.width = shared.network.critic_width = 16
    shared.pretrain.steps = 2500
    shared.barycenter.steps = 4000
    shared.evaluate.samples = 10000
    shared.evaluate.curve_samples = 2000
  config = ml_collections.ConfigDict(
    {
      'settings': (
        'mnist:overlapping', 'mnist:disjoint', 'fashion_mnist:overlapping',
      ),
      'samples': (20, 100, 1000),
      'methods': tuple(m for m in methods.TABLE if m != 'ours_mixed'),
      'seed': 0,
      # Members of an ensemble: node models, local samples and training.
      'seeds': 3,
      # Of every method.
      'budget': {
        'steps': 200,
        'chunk': 25,
        'warmup': 0,
        'held_out': 0.1,
        # Steps between two points of the curves; one of them is stopped at.
        'look_every': 50,
      },
      # Learning rates, as factors of `shared.game.learning_rate`, and the step
      # are those of the least Frechet distance to training images of the
      # setting, with so many draws of local samples of other seeds.
      'tuning': {'rates': (0.3, 1.0, 3.0), 'seed': 1000, 'draws': 2},
      # Weights of the anchor, and radii as fractions of the distance between
      # barycenter and local samples; all of them in one program.
      'anchors': (0.25, 0.5, 0.75),
      'radii': (0.25, 0.5, 0.75),
      # Differentiable augmentation by data set, for the methods that have it.
      'augment': {
        'digits': 'translation', 'mnist': 'translation',
        'fashion_mnist': 'translation,flip',
        'cifar10': 'translation,cutout,flip',
      },
      'shared': shared,
    }
  )  # fmt: skip
  if variant == 'quick':
    config.settings = ('digits:overlapping',)
    config.samples = (20,)
    config.seeds = 2
    config.tuning.rates = (0.3, 1.0)
    config.anchors = config.radii = (0.5,)
    config.budget.update(steps=20, chunk=10, look_every=10)
    shared.network.width = shared.network.critic_width = 4
    shared.barycenter.fixed_samples = 100
  return config

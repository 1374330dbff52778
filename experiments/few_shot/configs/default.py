"""Few local samples: coalescing against every baseline a user would try.

A setting is a data set and a split of its classes over nodes. Node models,
barycenters and the other starts are made once a setting; then every method
gets the same local samples, the same number of generator steps, and a learning
rate and a step to stop at that are chosen by one rule on other local samples.

  python -m experiments.few_shot.main --workdir=DIR \
    --config=experiments/few_shot/configs/default.py

`:quick` is a smoke test; `:accelerator` and `:cifar10` are the full grid, for a
card of 80 GB or more. Others: `--config.settings='("mnist:disjoint",)'`,
`--config.samples='(8,20)'`, `--config.methods='("transfer","ours")'`.
"""

import ml_collections

from coalesce_jax.pipeline import defaults
from experiments.coalesce.configs import images

VARIANTS = ('', 'quick', 'accelerator', 'cifar10')


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The grid for two cores, or a variant of it.

  Args:
    variant: `quick`, one setting of a few steps; `accelerator`, the grid with
      five sample sizes, six seeds and networks of full width; `cifar10`, the
      same for CIFAR-10.

  Raises:
    ValueError: another variant.
  """
  if variant not in VARIANTS:
    raise ValueError(f'variant {variant!r} is not one of {VARIANTS}')
  shared = images.get_config()
  defaults.shorten(shared, 'quick' if variant == 'quick' else '')
  # Of the grid: the seeds and local samples of every trial.
  for field in ('dataset', 'split', 'local_samples', 'seed', 'seeds',
                'methods', 'adapt', 'transfer'):  # fmt: skip
    del shared[field]
  # Of the metamodel 'refined' alone.
  shared.barycenter.fixed_samples, shared.barycenter.refine_steps = 8000, 10
  # All but 'sequential'.
  shared.barycenter.warm_generator = False
  if variant != 'quick':
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
      # Without those that `experiments.ablations` compares, those that were not
      # the best of ours in earlier grids (docs/lab/few_shot_attempts.md), and
      # the weaker of two controls that cost what three critics do.
      'methods': (
        'edge_only', 'edge_augment', 'transfer', 'transfer_augment',
        'transfer_freeze_augment', 'sequential', 'sequential_augment',
        'sequential_larger', 'sequential_larger_augment', 'ensemble',
        'model_average', 'mined', 'borrowed', 'nodes', 'nodes_refined',
        'refined', 'ours_free', 'ours_sequential', 'ours_sequential_augment',
        'ours_together', 'ours', 'ours_ball', 'ours_free_freeze_augment',
        'paper_code', 'ternary', 'full',
      ),
      'seed': 0,
      # Members of an ensemble: node models, local samples and training.
      'seeds': 3,
      # Of every method.
      'budget': {
        'steps': 150,
        'chunk': 25,
        'warmup': 0,
        # Batches that make one step of a generator.
        'generator_batches': 1,
        'held_out': 0.1,
        # Steps between two points of the curves; one of them is stopped at.
        'look_every': 50,
      },
      # Learning rates, as factors of `shared.game.learning_rate`, with one more
      # of the generators' (tried in pairs), and the step are those of the least
      # Frechet distance to training images of the setting, with so many draws
      # of local samples, of those whose fraction of copies is at most `copied`,
      # which real images have. The images are neither among those draws nor
      # among the local samples of the test, nor are these among each other;
      # `seed` shuffles them. Why these pairs: docs/lab/few_shot_attempts.md.
      'tuning': {
        'rates': (1.0, 1.0, 3.0), 'generator_rates': (1.0, 3.0, 1.0),
        'seed': 1000, 'draws': 2, 'copied': 0.05,
      },
      # Weights of the anchor, and radii as fractions of the distance between
      # barycenter and local samples; all of them in one program.
      'anchors': (0.25, 0.5, 0.75),
      'radii': (0.25, 0.5, 0.75),
      # Of what the ensemble learns from, the part that the nodes make.
      'shares': (0.25, 0.5, 0.75),
      # Differentiable augmentation by data set, for the methods that have it.
      # Up to two of 28 pixels: docs/lab/few_shot_attempts.md, 20 samples.
      'augment': {
        'digits': 'translation', 'mnist': 'translation:0.07',
        'fashion_mnist': 'translation:0.07,flip',
        'cifar10': 'translation,cutout,flip',
      },
      'shared': shared,
    }
  )  # fmt: skip
  if variant == 'quick':
    config.settings = ('digits:overlapping',)
    config.samples = (20,)
    config.seeds = 2
    config.tuning.rates, config.tuning.generator_rates = (0.3, 1.0), (1.0, 3.0)
    config.anchors = config.radii = config.shares = (0.5,)
    config.budget.update(steps=20, chunk=10, look_every=10)
    shared.network.width = shared.network.critic_width = 4
    shared.barycenter.fixed_samples = 100
  if variant in ('accelerator', 'cifar10'):
    config.samples = (8, 20, 100, 500, 1000)
    # As many as a choice has members, three rates and two draws: one program.
    config.seeds = 6
    shared.network.width = shared.network.critic_width = 64
    shared.network.latent_size = 128
    shared.game.precision = 'bfloat16'
    # All nodes as they are have 21.5, 14.8 and 18.2 at 1e-3, 2e-3 and 4e-3 (on
    # MNIST, overlapping, one seed, to training images).
    shared.game.learning_rate = 2e-3
    shared.pretrain.steps = 5000
  if variant == 'cifar10':
    config.settings = ('cifar10:overlapping', 'cifar10:disjoint')
    # 46.6 and 54.0 at 1e-3 and 2e-3, after 3,000 steps.
    shared.game.learning_rate = 1e-3
    shared.pretrain.steps = 6000
  return config

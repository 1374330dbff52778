"""Generators of fewer multiply-accumulates: methods by shares of them.

  python -m experiments.pruning.main --workdir=DIR

A trial is one method at one share. Its seeds are one program if all of them
keep the same shapes, and else one after another. Large networks are trained
first, all seeds as one program, and every method starts from them. Networks
that start new train as long as the large one and the fine-tuning together.
Methods that look at norm scales train as long as the fine-tuning before they
choose, too. The name of any method may end in `_short`, as long as the
fine-tuning, `_twice`, twice as long, or `_long`, as long as new networks.

Generators of latents are scored by the Frechet distance to test images, in
features of the classifier of the data set, and kept as bundles in DIR/bundles.
The last trial of a data set times them against each other: `mnist-times` is to
run on an idle machine, so leave it for later with `--trials`. pix2pix is scored
by the mean absolute difference to held-out targets, CycleGAN by the Frechet
distance to them in random features. `agreement` is the rank correlation of the
local densities of matched samples, before and after.

`:quick` is a smoke test. Others: `--config.seeds=1`,
`--config.only='("mnist",)'`, `--config.shares='(0.25,)'`.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      'seeds': 3,
      # Folder where packages and data sets are searched first; '' is none.
      'data_dir': '',
      # Most images for training; 0 is all.
      'images': 0,
      # What is pruned: the data set of a latent generator, or the task of a
      # U-Net by pix2pix or of ResNets by CycleGAN; and the steps of the large
      # network and of the fine-tuning.
      'subjects': {
        'mnist': {
          'kind': 'latent', 'data': 'mnist', 'width': 32, 'critic_width': 16,
          'steps': 4000, 'tuning': 1000, 'ternary_steps': 1000,
          'batch_size': 32,
        },
        'fashion_mnist': {
          'kind': 'latent', 'data': 'fashion_mnist', 'width': 32,
          'critic_width': 16, 'steps': 4000, 'tuning': 1000,
          'ternary_steps': 1000, 'batch_size': 32,
        },
        'outline': {
          'kind': 'pix2pix', 'data': 'fluent_outline_flat', 'width': 32,
          'steps': 1000, 'tuning': 400, 'batch_size': 16,
        },
        'emoji': {
          'kind': 'cyclegan', 'data': 'emoji', 'width': 16, 'steps': 1000,
          'tuning': 300, 'batch_size': 4,
        },
      },
      # Names of subjects; () is all of them.
      'only': (),
      'side': 32,
      'latent_size': 64,
      # Shares of the multiply-accumulates; of translators the middle one.
      'shares': (0.5, 0.25, 0.1),
      'methods': (
        'narrow', 'narrow_distilled', 'uniform', 'magnitude', 'slimming', 'gcc',
        'magnitude_local', 'density', 'density_distilled', 'density_global',
        'density_alone', 'density_generator',
      ),
      # Those of the middle share of generators of latents alone: of other
      # steps, or another weight of the local density.
      'middle_methods': (
        'narrow_short', 'narrow_distilled_short', 'uniform_twice',
        'uniform_long', 'density_twice', 'density_distilled_long',
        'density_chosen', 'density_chosen_long', 'density_later',
      ),
      # Further rows of generators of latents, each a method and a share. Nearly
      # the whole network that trains on is the control of long training.
      'more_rows': (('uniform_long', 0.99),),
      # Those of CycleGAN.
      'cyclegan_methods': (
        'narrow', 'narrow_distilled', 'magnitude', 'density',
      ),
      # Those of generators of latents that are ternarized afterwards, and at
      # which shares; neither need be among those above.
      'ternary_methods': (
        'narrow_distilled', 'density', 'density_distilled_long',
      ),
      'ternary_shares': (0.25, 0.2),
      # Settings that `experiments.ternary` found best, also with all images for
      # training: the float generator teaches and is no anchor.
      'ternary': {
        'scheme': 'twn', 'distill': 10.0, 'anchor': 0.0, 'augment': '',
      },
      # Settings of the agents, and the pool in which neighbours are found.
      'agents': {'steps': 400, 'neighbours': 8, 'neighbourhoods': 8},
      'pool': 2048,
      # Of the images for training, the share that only this pool has.
      'pool_share': 0.15,
      # Samples of each score.
      'samples': 5000,
      # Whether programs are compiled in half the time and run slower.
      'fast_compile': False,
    }
  )  # fmt: skip
  if quick:
    config.seeds, config.images = 1, 64
    config.only = ('mnist', 'outline')
    config.side, config.latent_size = 16, 8
    for subject in config.subjects.values():
      subject.update(width=4, steps=4, tuning=2, batch_size=4)
      if 'ternary_steps' in subject:
        subject.update(critic_width=4, ternary_steps=2)
    config.shares = config.ternary_shares = (0.5,)
    config.methods, config.middle_methods = ('magnitude', 'density'), ()
    config.more_rows = ()
    config.ternary_methods = ('density',)
    config.agents.update(steps=4, neighbours=2, neighbourhoods=2)
    config.pool, config.samples, config.fast_compile = 40, 100, True
  return config

"""CIFAR-10, overlapping nodes, 100 local samples; meant for an accelerator.

  coalesce run --config=experiments/coalesce/configs/cifar10.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage.
"""

import ml_collections

from coalesce_jax.pipeline import defaults


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = defaults.get_config()
  config.dataset = 'cifar10'
  config.seeds = 3
  config.network.width = config.network.critic_width = 64
  config.network.latent_size = 128
  config.game.critic_steps = 5
  config.game.learning_rate = 2e-4
  config.pretrain.steps = 50000
  config.barycenter.steps = 10000
  config.adapt.steps = 2000
  config.adapt.augment = 'translation,cutout,flip'
  config.adapt.observe_every = 500
  config.ternary.steps = 10000
  config.evaluate.samples = 10000
  config.evaluate.curve_samples = 5000
  defaults.shorten(config, variant)
  if variant == 'quick':
    config.network.width = config.network.critic_width = 8
  return config

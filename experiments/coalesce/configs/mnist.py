"""MNIST, nodes {0-4} and {5-9}, target all ten digits, 100 local samples.

  coalesce run --config=experiments/coalesce/configs/mnist.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage.
"""

import ml_collections

from coalesce_jax.pipeline import defaults
from experiments.coalesce.configs import images


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = images.get_config()
  config.dataset = 'mnist'
  config.seeds = 3
  config.network.width = config.network.critic_width = 16
  config.pretrain.steps = 2500
  config.barycenter.method = 'mixture'
  config.barycenter.steps = 4000
  config.barycenter.warm_generator = False
  config.barycenter.fixed_samples = 8000
  config.barycenter.refine_steps = 10
  config.adapt.steps = 300
  config.adapt.anchor = 0.25
  config.adapt.rate = config.transfer.rate
  config.adapt.observe_every = 50
  config.ternary.steps = 1200
  config.ternary.scheme = 'twn'
  config.ternary.distill = 10.0
  config.evaluate.samples = 10000
  config.evaluate.curve_samples = 2000
  defaults.shorten(config, variant)
  return config

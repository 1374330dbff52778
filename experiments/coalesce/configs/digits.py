"""The whole pipeline on the 1,797 embedded 8x8 digits; nothing to download.

  coalesce run --config=experiments/coalesce/configs/digits.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage.
"""

import ml_collections

from experiments.coalesce.configs import base


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = base.get_config()
  # Of 5e-4, 2e-3 and 5e-3, with a momentum of .5, adaptation does well at the
  # first two and nodes, barycenter and baselines at the last two.
  config.game.learning_rate = 2e-3
  base.choose(config, variant)
  return config

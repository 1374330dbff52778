"""The whole pipeline on the 1,797 embedded 8x8 digits; nothing to download.

  coalesce run --config=experiments/coalesce/configs/digits.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage.
"""

import ml_collections

from experiments.coalesce.configs import base


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = base.get_config()
  base.choose(config, variant)
  return config

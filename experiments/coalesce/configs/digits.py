"""The whole pipeline on the 1,797 embedded 8x8 digits; nothing to download.

  coalesce run --config=experiments/coalesce/configs/digits.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage. All settings are the defaults.
Of rates of 5e-4, 2e-3 (the default) and 5e-3, with a momentum of .5, adaptation
does well at the first two and nodes, barycenter and baselines at the last two.
"""

import ml_collections

from coalesce_jax.pipeline import defaults


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = defaults.get_config()
  defaults.shorten(config, variant)
  return config

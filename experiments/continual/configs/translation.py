"""Four tasks of image translation in order, 32 pixels, by a small U-Net.

  python -m experiments.continual.main --workdir=DIR

A trial is one learner on the whole stream, all seeds as one program. After each
task the generator of every task is scored on held-out pairs, which have no part
in training or in early stopping. Controls learn nothing: a copy of the input,
the mean and the median target, and the target of the nearest training pair.

`:quick` is a smoke test with two tasks. Others: `--config.seeds=1`,
`--config.only='("sequential","piggyback_1_4")'`.
"""

import ml_collections

from experiments.continual.configs import rows

_QUICK = ('standalone', 'sequential', 'piggyback_1_4')


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  config = rows.config(
    'translation',
    (
      'outline_flat=fluent_outline_flat', 'flat_modern=fluent_flat_modern',
      'relief=earth_relief', 'openmoji=openmoji',
    ),
    steps=600,
  )  # fmt: skip
  rows.shorten(config, variant)
  if variant:
    config.only = _QUICK
  return config

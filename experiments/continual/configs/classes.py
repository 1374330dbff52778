"""Ten classes of MNIST in order, by one Wasserstein GAN with codes of classes.

  python -m experiments.continual.main --workdir=DIR \
    --config=experiments/continual/configs/classes.py

The task of Seff et al., "Continual learning in generative adversarial nets",
https://arxiv.org/abs/1705.08395. Scores are as in `latents.py`; the error of a
class is the share of its samples that the classifier of MNIST takes for another
digit. The row `joint` learns all classes at once, only at the end.

`:quick` is a smoke test with two classes.
"""

import ml_collections

from experiments.continual.configs import rows

_ROWS = (
  'standalone', 'sequential', 'l2', 'ewc', 'replay', 'joint', 'piggyback_1_8',
)  # fmt: skip
_QUICK = ('standalone', 'sequential', 'ewc')


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  config = rows.config(
    'latents',
    tuple(f'digit_{k}=mnist:{k}' for k in range(10)),
    _ROWS,
    steps=500,
  )
  rows.shorten(config, variant)
  if variant:
    config.only = _QUICK
  return config

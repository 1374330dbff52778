"""Four halves of MNIST and Fashion-MNIST in order, by a Wasserstein GAN.

  python -m experiments.continual.main --workdir=DIR \
    --config=experiments/continual/configs/latents.py

Scores are the Frechet distance to test images, in features of the classifier of
the task's data set that ships with the package, and its error: the share of
samples that it puts into no class of the task.

One network for all tasks gets a code of the task among its latents. `:quick` is
a smoke test with two tasks.
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
    'latents',
    (
      'digits_0_4=mnist:0-4', 'digits_5_9=mnist:5-9',
      'fashion_0_4=fashion_mnist:0-4', 'fashion_5_9=fashion_mnist:5-9',
    ),
    steps=700,
  )  # fmt: skip
  rows.shorten(config, variant)
  if variant:
    config.only = _QUICK
  return config

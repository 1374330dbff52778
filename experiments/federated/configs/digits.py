"""Digits of 8 x 8 pixels with permuted labels: needs no data and few minutes.

  python -m experiments.federated.main --workdir=DIR \
    --config=experiments/federated/configs/digits.py

Each of 24 nodes has three of the ten digits, in an order of its own. No image
is at two nodes. One seed of 200 rounds, `--config.rounds=200`, takes a minute
or two a row on a busy core. Accuracy after one step, in percent:

  per_fedavg        97.3 ± 0.6
  metagater         97.6 ± 0.7, at 62 % of the multiply-accumulates
  random_gates      91.2 ± 1.4, with as many channels
  fedavg_one_step   66.0 ± 2.7

`:quick` is a smoke test.
"""

import ml_collections

from experiments.federated.configs import shared


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  return shared.config(variant, rounds=400)

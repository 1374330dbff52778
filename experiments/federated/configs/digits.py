"""Digits of 8 x 8 pixels with permuted labels: needs no data and few minutes.

  python -m experiments.federated.main --workdir=DIR \
    --config=experiments/federated/configs/digits.py

Each of 24 nodes has three of the ten digits, in an order of its own. No image
is at two nodes.

`:quick` is a smoke test.
"""

import ml_collections

from experiments.federated.configs import shared


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  return shared.config(variant, rounds=400)

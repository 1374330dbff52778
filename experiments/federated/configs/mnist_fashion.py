"""MNIST and Fashion-MNIST: 14 classes to learn from, 6 others to test.

  python -m experiments.federated.main --workdir=DIR \
    --config=experiments/federated/configs/mnist_fashion.py

A node has five classes, in an order of its own: labels mean nothing before the
node adapts. `:quick` is a smoke test.
"""

import ml_collections

from experiments.federated.configs import shared


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  return shared.config(
    variant, data='mnist_fashion', partition='held_out_classes', nodes=64,
    validation_nodes=6, test_nodes=12, classes=(5, 5), test_classes=6, ways=5,
    shots=5, queries=5, images=600, width=16, rounds=400,
    augment='translation:0.07',
  )  # fmt: skip

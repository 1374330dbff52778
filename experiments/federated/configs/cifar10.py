"""CIFAR-10 over 40 nodes of two to five classes, a fifth of them held out.

  python -m experiments.federated.main --workdir=DIR \
    --config=experiments/federated/configs/cifar10.py

As in Fallah et al., https://arxiv.org/abs/2002.07948, labels mean the same at
all nodes. A round has a fifth of the nodes that learn. The network is ResNet-8.
`:quick` is a smoke test.
"""

import ml_collections

from experiments.federated.configs import shared


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  made = shared.config(
    variant, data='cifar10', partition='classes', nodes=40,
    validation_nodes=4, test_nodes=8, classes=(2, 5), permute=False, ways=5,
    shots=5, queries=5, images=1000, network='resnet', width=8, rounds=300,
    augment='translation,flip',
  )  # fmt: skip
  made.meta.nodes = min(made.meta.nodes, 6)
  return made

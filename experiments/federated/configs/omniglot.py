"""Small Omniglot: a node is an alphabet in one rotation by a group of drawers.

  python -m experiments.federated.main --workdir=DIR --config.data_dir=ARCHIVES

ARCHIVES is a folder with the three archives that `data/omniglot.py` names.
Nodes of six alphabets learn and validate, those of Korean and Tagalog test. A
task has 5 of the characters of a node; a character has 5 images to adapt to and
5 to judge by.

Small Omniglot has a quarter of the characters of Omniglot. Published figures of
5-way tasks are of the whole, and do not transfer.

`:quick` is a smoke test. Others: `--config.shots=1`,
`--config.only='("per_fedavg","metagater")'`.
"""

import ml_collections

from experiments.federated.configs import shared


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'."""
  return shared.config(
    variant, data='omniglot', partition='alphabets', validation_nodes=6,
    ways=5, shots=5, queries=5, width=32, rounds=800,
    augment='translation:0.07',
  )  # fmt: skip

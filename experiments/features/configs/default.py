"""Trains the committed feature networks.

  python -m experiments.features.main --workdir=coalesce_jax/metrics \
    --config=experiments/features/configs/default.py:mnist
"""

import ml_collections


def get_config(dataset: str = 'digits') -> ml_collections.ConfigDict:
  """The configuration of one data set."""
  config = ml_collections.ConfigDict(
    {
      'dataset': dataset,
      'data_dir': '',
      'seed': 0,
      'width': 16,
      'epochs': 10,
      'learning_rate': 2e-3,
      'shift': True,
      'flip': False,
    }
  )
  if dataset == 'digits':
    config.epochs = 150
  if dataset in ('fashion_mnist', 'cifar10'):
    config.shift, config.flip = False, True
    config.epochs = 15
  if dataset == 'cifar10':
    config.width, config.epochs, config.shift = 24, 20, True
  return config

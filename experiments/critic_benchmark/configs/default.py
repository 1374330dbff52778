"""How well critics measure W1 and its gradient, on laws where both are known.

The protocol of Korotin, Kolesov, Burnaev, https://arxiv.org/abs/2206.07767: N
funnels in D dimensions, fresh batches of 1,024, perceptrons of two layers of
max(2 D, 128) under penalties of weight 10. Every critic gets the same number
of samples.

  python -m experiments.critic_benchmark.main --workdir=DIR \
    --config=experiments/critic_benchmark/configs/default.py

One cell: `--config.dims='(16,)' --config.funnels='(4,)' --config.seed=1`.
"""

import ml_collections


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """All 21 cells; `quick`: two, with few steps."""
  if variant not in ('', 'quick'):
    raise ValueError(f"variant {variant!r} is not '' or 'quick'")
  config = ml_collections.ConfigDict(
    {
      'dims': (2, 4, 8, 16, 32, 64, 128),
      'funnels': (4, 16, 64),
      'seed': 0,
      'steps': 6000,
      'batch_size': 1024,
      'eval_samples': 204800,
      # Shown as ours in the summary.
      'best': 'cones',
      # Penalty, Adam and network of every critic; `hidden` 0 is the published
      # max(2 D, 128). All rates fall linearly to zero.
      'critics': {
        'gp': {
          'penalty': 'two_sided',
          'learning_rate': 2e-4,
          'beta1': 0.0,
          'beta2': 0.9,
          'network': 'mlp',
        },
        'lp': {
          'penalty': 'one_sided',
          'learning_rate': 2e-4,
          'beta1': 0.0,
          'beta2': 0.9,
          'network': 'mlp',
        },
        'groupsort': {
          'penalty': 'none',
          'learning_rate': 1e-3,
          'beta1': 0.5,
          'beta2': 0.99,
          'network': 'groupsort',
        },
        'cones': {
          'penalty': 'none',
          'learning_rate': 1.2e-2,
          'beta1': 0.5,
          'beta2': 0.99,
          'network': 'cones',
        },
      },
    }
  )
  if variant == 'quick':
    config.dims, config.funnels = (2, 16), (4,)
    config.steps, config.eval_samples = 500, 20480
  return config

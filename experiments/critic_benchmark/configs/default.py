"""How well critics measure W1 and its gradient, on laws where both are known.

The protocol of Korotin, Kolesov, Burnaev, https://arxiv.org/abs/2206.07767: N
funnels in D dimensions, fresh batches of 1,024, perceptrons of two layers of
max(2 D, 128) under penalties of weight 10. Every critic gets the same number
of samples.

  python -m experiments.critic_benchmark.main --workdir=DIR

Funnels of a file: `--pairs=FILE`. One cell:
`--config.dims='(16,)' --config.funnels='(4,)' --config.seed=1`. Some critics:
`--config.critics='("gp", "cones")'`. A smoke test:
`--config=experiments/critic_benchmark/configs/default.py:quick`.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """All 21 cells; `quick`: two, with few steps."""
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      'dims': (2, 4, 8, 16, 32, 64, 128),
      'funnels': (4, 16, 64),
      'seed': 0,
      # A file of funnels, as of `--pairs`; '' draws them from the seed.
      'pairs': '',
      # Updates of every critic. Rates fall linearly to zero over them.
      'steps': 1500,
      'batch_size': 1024,
      'eval_samples': 65536,
      # Cells at a time, a process each; seconds are of the processor.
      'workers': 1,
      # Which critics of `settings` are trained.
      'critics': ('gp', 'lp', 'envelopes', 'cones'),
      # Shown as ours in the summary.
      'best': 'cones',
      # Penalty, Adam, network and its options of every critic. The published
      # rate of the penalties, 2e-4, is one for far more updates than these.
      'settings': {
        'gp': {
          'penalty': 'two_sided',
          'learning_rate': 2e-3,
          'beta1': 0.5,
          'beta2': 0.99,
          'network': 'mlp',
          'options': {},
        },
        'lp': {
          'penalty': 'one_sided',
          'learning_rate': 2e-3,
          'beta1': 0.5,
          'beta2': 0.99,
          'network': 'mlp',
          'options': {},
        },
        'groupsort': {
          'penalty': 'none',
          'learning_rate': 1e-3,
          'beta1': 0.5,
          'beta2': 0.99,
          'network': 'groupsort',
          'options': {},
        },
        'envelopes': {
          'penalty': 'none',
          'learning_rate': 2.5e-2,
          'beta1': 0.9,
          'beta2': 0.99,
          'network': 'envelopes',
          'options': {'count': 256, 'temperature': 0.4},
        },
        'cones': {
          'penalty': 'none',
          'learning_rate': 2.5e-2,
          'beta1': 0.9,
          'beta2': 0.99,
          'network': 'cones',
          'options': {'count': 512, 'temperature': 0.4},
        },
      },
    }
  )
  if quick:
    config.dims, config.funnels = (2, 16), (4,)
    config.steps, config.eval_samples = 500, 20480
  return config

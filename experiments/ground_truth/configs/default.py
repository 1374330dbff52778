"""Barycenters whose answers are known, by the function that images use.

Truths T1 to T9 (docs/lab/ground_truth.md), joint and recursive, objectives
`w1`, `w1_squared` and `ball`, in 1 to 784 dimensions, seeds as one vmapped
program.

  python -m experiments.ground_truth.main --workdir=DIR \
    --config=experiments/ground_truth/configs/default.py

Others: `--config.seed=7`, `--config.dims='(2,)'`, `--config.truths="('T7',)"`.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Everything; `quick`: one dimension, three truths."""
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      # Of the laws and of the training.
      'seed': 0,
      'seeds': 3,
      'dims': (1, 2, 16, 64, 128, 784),
      # Empty: all.
      'truths': (),
      # Above this dimension, T5 to T7 only, joint only, without 'ball'.
      'most_dims': 128,
      # Trials at a time, a process each; one on an accelerator.
      'workers': 2,
      # The displacement of a law; see laws.py.
      'law': {'hidden': (64, 64), 'gain': 0.01},
      'critic': {'name': 'mlp', 'options': {'hidden': (64, 64), 'centers': 8}},
      'steps': {'w1': 600, 'w1_squared': 400, 'ball': 800},
      'warmup': 50,
      'batch_size': 128,
      'critic_steps': 3,
      'penalty': 'one_sided',
      'critic_learning_rate': 4e-3,
      # Of the generator, an Adam so near to gradient descent that a rate is
      # the length of a step; in units of the problem.
      'rates': {'w1': 0.1, 'w1_squared': 0.05, 'ball': 0.1},
      'epsilon': 1.0,
      'ema': 0.99,
      # Short, as coefficients that follow distances late swing.
      'w1_smoothing': 0.8,
      # Of the multipliers of 'ball', over units of the problem.
      'ball': {'penalty': 2.0, 'rate': 0.04},
      # In their place on the line, where couplings are not kept (a mirrored
      # normal law is the same law), so that pairs do not quiet the critics.
      'line': {
        'rates': {'w1': 0.1, 'w1_squared': 0.05, 'ball': 0.1},
        'steps': {'w1': 700, 'w1_squared': 700, 'ball': 800},
        'batch_size': 512,
        'critic_steps': 4,
      },
      # T3 and T8 change the shape of a law, so that the perceptron has to
      # learn; T8 needs it alone.
      'shapes': {
        'T3': {
          'gain': 0.1,
          'rate': 0.15,
          'epsilon': 1.0,
          'critic_learning_rate': 2e-3,
          # Critics that lag shrink a law on its way to a point, a saddle.
          'critic_steps': 6,
          'warmup': 300,
          'steps': 1500,
          'batch_size': 256,
        },
        'T8': {
          'gain': 1.0,
          'rate': 2e-3,
          'epsilon': 1e-8,
          'critic_learning_rate': 2e-3,
          'critic_steps': 3,
          'warmup': 50,
          'steps': 1000,
          'batch_size': 256,
        },
      },
      # T9: nodes, and how many of them are corrupted.
      'robustness': {
        'cases': ((5, 1), (5, 2), (7, 3)),
        'steps': 600,
        # In pixels of [-1, 1] along unit vectors.
        'rates': {'w1': 0.2, 'w1_squared': 0.05},
      },
      'peers': True,
    }
  )
  if quick:
    config.dims = (16,)
    config.truths = ('T2', 'T2s', 'T7')
    config.robustness.cases = ()
  return config

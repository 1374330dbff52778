"""Command line of the critic benchmark: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.critic_benchmark import train

EXPERIMENT = trials.Experiment(
  'critic_benchmark',
  'how well critics measure W1',
  trials.configuration(__file__),
  train.plan,
  train.report,
  prepare=train.prepare,
  more={
    'pairs': 'An .npz file with `centers_D{D}_N{N}` and `bias_D{D}_N{N}`; left '
    'out, the funnels are drawn from the seed.',
  },
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

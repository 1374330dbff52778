"""Command line of the speed experiment: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.speed import train

EXPERIMENT = trials.Experiment(
  'speed',
  'the game against PyTorch and against the machine',
  trials.configuration(__file__),
  train.plan,
  train.report,
  train.stages,
  train.prepare,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

"""Command line of the ternary experiment: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.ternary import train

EXPERIMENT = trials.Experiment(
  'ternary',
  'quality against bytes: ternary generators and others as small',
  trials.configuration(__file__),
  train.plan,
  train.report,
  train.stages,
  train.validate,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

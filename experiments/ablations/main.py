"""Command line of the ablations: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.ablations import train

EXPERIMENT = trials.Experiment(
  'ablations',
  'one setting varied at a time, and corrupted nodes',
  trials.configuration(__file__),
  train.plan,
  train.report,
  train.stages,
  train.validate,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

"""Command line of W2 barycenters: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.barycenters import tables
from experiments.barycenters import train

EXPERIMENT = trials.Experiment(
  'barycenters',
  'W2 barycenters of samples, whose answers are known',
  trials.configuration(__file__),
  train.plan,
  tables.report,
  prepare=train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

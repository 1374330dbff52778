"""Command line of ensembling by barycenters: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.ensembling import tables
from experiments.ensembling import train

EXPERIMENT = trials.Experiment(
  'ensembling',
  'predictions of weak classifiers, combined by Wasserstein barycenters',
  trials.configuration(__file__),
  train.plan,
  tables.report,
  prepare=train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

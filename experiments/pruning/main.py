"""Command line of pruning: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.pruning import settings
from experiments.pruning import tables
from experiments.pruning import train

EXPERIMENT = trials.Experiment(
  'pruning',
  'smaller generators: ways to choose channels and to train on',
  trials.configuration(__file__),
  train.plan,
  tables.report,
  prepare=settings.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

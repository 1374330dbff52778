"""Command line of image translation: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.translation import train

EXPERIMENT = trials.Experiment(
  'translation',
  'methods of image translation on pairs and on domains',
  trials.configuration(__file__),
  train.plan,
  train.report,
  prepare=train.validate,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

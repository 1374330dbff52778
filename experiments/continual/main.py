"""Command line of continual learning: see configs/translation.py."""

import pathlib
import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.continual import tables
from experiments.continual import train

EXPERIMENT = trials.Experiment(
  'continual',
  'learners of a stream of tasks: what they keep, and what they store',
  str(pathlib.Path(__file__).resolve().parent / 'configs' / 'translation.py'),
  train.plan,
  tables.report,
  prepare=train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

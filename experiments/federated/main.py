"""Command line of federated meta-learning: see configs/omniglot.py."""

import pathlib
import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.federated import tables
from experiments.federated import train

EXPERIMENT = trials.Experiment(
  'federated',
  'meta-learned backbones and gates, adapted in one step at new nodes',
  str(pathlib.Path(__file__).resolve().parent / 'configs' / 'omniglot.py'),
  train.plan,
  tables.report,
  stages=train.stages,
  prepare=train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

"""Command line of the few-shot experiment: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.few_shot import train

EXPERIMENT = trials.Experiment(
  'few_shot',
  'coalescing against its baselines on few local samples',
  trials.configuration(__file__),
  train.plan,
  train.report,
  train.stages,
  train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

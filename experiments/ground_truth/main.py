"""Command line of the ground truths: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.ground_truth import train

EXPERIMENT = trials.Experiment(
  'ground_truth',
  'barycenters whose answers are known',
  trials.configuration(__file__),
  train.plan,
  train.report,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

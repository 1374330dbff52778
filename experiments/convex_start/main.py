"""Command line of starts by the convex WGAN: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.convex_start import train

EXPERIMENT = trials.Experiment(
  'convex_start',
  'what a start by the convex WGAN saves',
  trials.configuration(__file__),
  train.plan,
  train.report,
  prepare=train.validate,
  partial=True,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

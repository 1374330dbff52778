"""Command line of the template: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import comparison
from coalesce_jax.trials import trials
from experiments.template import train

EXPERIMENT = trials.Experiment(
  'template',
  'what the anchor weight does with few local samples',
  trials.configuration(__file__),
  comparison.plan,
  train.report,
  comparison.stages,
  comparison.validate,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

"""Command line of the runtimes' experiment: see configs/default.py."""

import sys

from coalesce_jax.cli import experiment
from coalesce_jax.cli import leave
from coalesce_jax.trials import trials
from experiments.edge_runtimes import train

EXPERIMENT = trials.Experiment(
  'edge_runtimes',
  'a generator on one core: file, start, memory and speed by runtime',
  trials.configuration(__file__),
  train.plan,
  train.report,
  train.stages,
  train.validate,
)

if __name__ == '__main__':
  leave.leave(experiment.main(EXPERIMENT, sys.argv[1:]))

"""Command line of the few-shot experiment: see configs/default.py."""

import sys

from experiments import command_line
from experiments import trials
from experiments.few_shot import train

EXPERIMENT = trials.Experiment(
  'few_shot',
  'coalescing against its baselines on few local samples',
  train.plan,
  train.report,
  train.stages,
  train.validate,
  partial=True,
)

if __name__ == '__main__':
  sys.exit(command_line.main(EXPERIMENT, sys.argv[1:]))

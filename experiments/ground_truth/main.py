"""Command line of the ground truths: see configs/default.py."""

import sys

from experiments import trials
from experiments.ground_truth import train

EXPERIMENT = trials.Experiment(
  'ground_truth',
  'barycenters whose answers are known',
  train.run,
  lambda workdir: train.plan,
)

if __name__ == '__main__':
  sys.exit(trials.main(EXPERIMENT, sys.argv[1:]))

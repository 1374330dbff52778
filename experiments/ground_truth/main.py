"""Command line of the ground truths: see configs/default.py."""

import sys

from experiments import trials
from experiments.ground_truth import train

if __name__ == '__main__':
  sys.exit(
    trials.main(
      'ground_truth',
      'barycenters whose answers are known',
      train.run,
      sys.argv[1:],
    )
  )

"""Command line of the speed experiment: see configs/default.py."""

import sys

from experiments import trials
from experiments.speed import train

if __name__ == '__main__':
  sys.exit(
    trials.main(
      'speed',
      'the game against PyTorch and against the machine',
      train.run,
      sys.argv[1:],
    )
  )

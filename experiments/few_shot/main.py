"""Command line of the few-shot experiment: see configs/default.py."""

import sys

from experiments import trials
from experiments.few_shot import train

if __name__ == '__main__':
  sys.exit(
    trials.main(
      'few_shot',
      'coalescing against its baselines on few local samples',
      train.run,
      sys.argv[1:],
    )
  )

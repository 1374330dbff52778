"""Command line of the critic benchmark: see configs/default.py."""

import sys

from experiments import trials
from experiments.critic_benchmark import train

if __name__ == '__main__':
  sys.exit(
    trials.main(
      'critic_benchmark',
      'how well critics measure W1',
      train.run,
      sys.argv[1:],
      pairs='An .npz file with `centers_D{D}_N{N}` and `bias_D{D}_N{N}`; '
      'left out, the funnels are drawn from the seed.',
    )
  )

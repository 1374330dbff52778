"""Command line of the main job; `coalesce run` is the same."""

import sys

from coalesce_jax.cli import leave
from coalesce_jax.cli import main

if __name__ == '__main__':
  leave.leave(main.main(['coalesce', 'run', *sys.argv[1:]]))

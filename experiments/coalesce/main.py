"""Command line of the main job; `coalesce run` is the same."""

import sys

from coalesce_jax import cli

if __name__ == '__main__':
  sys.exit(cli.main(['coalesce', 'run', *sys.argv[1:]]))

"""Runs `python -m coalesce_jax` and the `coalesce` script.

Nothing heavy is imported before Ctrl-C is understood.
"""

import os
import sys


def main() -> None:
  """Runs the command line and ends the process with its exit code."""
  try:
    from coalesce_jax.cli import leave
    from coalesce_jax.cli import main as main_lib

    code = main_lib.main(sys.argv)
  except KeyboardInterrupt:
    if sys.stderr is not None:
      print('coalesce: stopped by SIGINT', file=sys.stderr)
    os._exit(130)
  leave.leave(code)


if __name__ == '__main__':
  # `python -m` puts the current folder first among the places of modules. What
  # lies there is the user's, and may not be run.
  sys.path[:] = [p for p in sys.path if os.path.abspath(p) != os.getcwd()]
  main()

"""Ends the process of a command."""

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
  """Ends the process with an exit code, at once if the command did not end.

  A command that was stopped can leave a compiler at work in other threads.
  Python would wait for it, and XLA crashes when the interpreter goes first.

  Args:
    code: exit code of the command, see `boundary`.
  """
  if code in (0, 2):
    sys.exit(code)
  for stream in (sys.stdout, sys.stderr):
    try:
      stream.flush()
    except OSError:
      pass
  os._exit(code)

"""Turns what goes wrong in a command into an exit code and plain words.

| exit code | what happened | what stderr shows |
|---|---|---|
| 0 | the command is done | |
| 1 | the run was stopped or diverged, or memory was too small | a line |
| 1 | a fault of this program | where it was raised, and whom to tell |
| 2 | a setting, a file or this machine is not as it must be | a line |
| 130 | Ctrl-C | a line |
"""

from collections.abc import Callable
import errno
import json
import math
import os
import signal
import sys
import sysconfig
import traceback
import types
from typing import Any

from coalesce_jax.core import errors
from coalesce_jax.core import signals

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refuse(text: str) -> int:
  """Prints one line to stderr and returns the exit code of bad usage."""
  say(text)
  return 2


def say(text: str) -> None:
  """Prints a line to stderr, if anybody still reads it."""
  if sys.stderr is None:
    # It was closed, and `print` would take stdout instead.
    return
  try:
    print(text, file=sys.stderr, flush=True)
  except OSError:
    pass


def show(text: str) -> int:
  """Prints a text to stdout and returns the exit code.

  The code is 0, or 1 if nobody reads the text or the disk is full.

  Args:
    text: lines, such as a help.
  """
  return guard('coalesce', lambda: _print(text))


def guard(
  program: str, run: Callable[[], None], *, traces: bool = False
) -> int:
  """Runs a command and returns its exit code.

  Args:
    program: name of the command, which begins every line.
    run: the command.
    traces: whether to show where an error was raised, whatever it is.
  """
  try:
    run()
    return 0
  except KeyboardInterrupt as error:
    number = getattr(error, 'number', signal.SIGINT)
    say(f'{program}: {_line(error) or "stopped by SIGINT"}')
    return signals.exit_code(number)
  except BrokenPipeError:
    _drop_output()
    return 1
  except MemoryError:
    return _too_small(program, 'memory')
  except Exception as error:
    if traces:
      traceback.print_exc()
    return _of(program, error, traces)


def _drop_output() -> None:
  """Drops what stdout still holds, of which Python would complain at exit."""
  if sys.stdout is None:
    return
  try:
    sys.stdout.flush()
  except (OSError, ValueError):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _of(program: str, error: Exception, shown: bool) -> int:
  """Returns the exit code of an exception, and says what it was."""
  if isinstance(error, errors.Interrupted):
    say(
      f'{program}: stopped, {_line(error)}; the same command with the same '
      '--workdir goes on from there'
    )
    return signals.exit_code(error.number or 0)
  if isinstance(error, errors.Diverged):
    say(f'{program}: diverged: {_line(error)}')
    return 1
  if isinstance(error, errors.Failed):
    say(f'{program}: {_line(error)}')
    return 1
  text = str(error)
  if 'RESOURCE_EXHAUSTED' in text or 'Out of memory' in text:
    return _too_small(program, 'memory of the device')
  if isinstance(error, FloatingPointError):
    # Raised by JAX alone. Games use NaN for what is not known.
    return refuse(
      f'{program}: {_line(error)}: JAX_DEBUG_NANS or JAX_DEBUG_INFS stops at '
      'values that this program expects; unset it'
    )
  if isinstance(error, OSError):
    _drop_output()
    if error.errno in _FULL:
      # A `WriteError` says itself what to do.
      known = 'run the same' in _line(error)
      advice = '' if known else '; free space and run the same again'
      say(f'{program}: {_line(error)}{advice}')
      return 1
    return refuse(f'{program}: {_line(error)}')
  if _of_configuration(error):
    name = _line(error).strip('"\'')
    return refuse(f'{program}: --config: no such field, {name}')
  if isinstance(error, ValueError) and raised_here(error):
    return refuse(f'{program}: {_line(error)}')
  if not shown:
    traceback.print_exc()
  say(
    f'{program}: this is a fault of coalesce_jax, not of your input. Please '
    'report it to its developers with the lines above, your command and the '
    'output of `coalesce --version`'
  )
  return 1


def _too_small(program: str, what: str) -> int:
  say(
    f'{program}: not enough {what}; a smaller --batch_size, --width or number '
    'of samples needs less'
  )
  return 1


def raised_here(error: BaseException) -> bool:
  """Returns whether a line of ours raised an exception, not a library's.

  What this program refuses it refuses itself, in words for the user. An
  exception from inside a library is a fault that nobody foresaw. Files of the
  user, such as configurations, count as ours.

  Args:
    error: the exception, with its traceback.
  """
  frame, name = _origin(error)
  if frame is None:
    return True
  if name.split('.')[0] in ('coalesce_jax', 'experiments', 'launch'):
    return True
  paths = sysconfig.get_paths()
  libraries = [paths[k] for k in ('stdlib', 'platstdlib', 'purelib', 'platlib')]
  file = os.path.realpath(frame.f_code.co_filename)
  return not file.startswith('<') and not any(
    file.startswith(os.path.realpath(p) + os.sep) for p in libraries
  )


def _of_configuration(error: Exception) -> bool:
  """Returns whether a field was read that a configuration does not have."""
  missing = isinstance(error, AttributeError | KeyError)
  return missing and _origin(error)[1].startswith('ml_collections.')


def _origin(error: BaseException) -> tuple[types.FrameType | None, str]:
  """Returns the frame that raised an exception, and the name of its module."""
  frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
  if not frames:
    return None, ''
  return frames[-1], str(frames[-1].f_globals.get('__name__', ''))


def line(error: BaseException) -> str:
  """Returns the message of an exception in one line."""
  return _line(error) or type(error).__name__


def _line(error: BaseException) -> str:
  if isinstance(error, OSError) and error.strerror:
    name = error.filename
    where = '' if name is None else f'{os.fsdecode(name)}: '
    return f'{where}{error.strerror}'
  lines = [part.strip() for part in str(error).splitlines() if part.strip()]
  return ' '.join(lines)[:500]


def result(value: Any) -> None:
  """Prints the result of a command as one JSON line on stdout."""
  _print(json.dumps(_defined(value)))


def _print(text: str) -> None:
  try:
    print(text, flush=True)
  except BrokenPipeError:
    raise
  except OSError as error:
    raise OSError(error.errno, error.strerror, 'standard output') from None


def _defined(value: Any) -> Any:
  """Replaces numbers that are not finite, which JSON lacks, by None."""
  if isinstance(value, dict):
    return {name: _defined(item) for name, item in value.items()}
  if isinstance(value, list | tuple):
    return [_defined(item) for item in value]
  return (
    None if isinstance(value, float) and not math.isfinite(value) else value
  )

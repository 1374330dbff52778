"""Prepares a process for JAX, before JAX is imported.

Settings of the environment that are there already stay as they are.
"""

import contextlib
import hashlib
import logging as python_logging
import os
import pathlib
import platform
import sys
from typing import Any
import warnings

from absl import flags
from absl import logging

from coalesce_jax.core import user_cache

_CACHE = 'JAX_COMPILATION_CACHE_DIR'
_CACHE_LIMITS = {
  'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.5',
  'JAX_COMPILATION_CACHE_MAX_SIZE': str(2 << 30),
}
_TIME = '%H:%M:%S'


class _Line(python_logging.Formatter):
  """Shows the time and the message, and the level of warnings and errors."""

  def format(self, record: python_logging.LogRecord) -> str:
    time, _, message = super().format(record).partition(' ')
    if record.levelno > python_logging.INFO:
      message = f'{record.levelname}: {message}'
    return f'{time} {message}'


def log(verbosity: int) -> None:
  """Sends log lines to stderr, and leaves out those that are for developers.

  Args:
    verbosity: -1 is warnings, 0 is information, 1 is debugging.
  """
  _open_streams()
  if sys.warnoptions:
    # PYTHONWARNINGS=error would make an error of a warning within a library.
    warnings.simplefilter('default')
  python_logging.captureWarnings(verbosity < 1)
  if not flags.FLAGS.is_parsed():
    # Otherwise absl warns that its own flags, which are not used, are not.
    flags.FLAGS.mark_as_parsed()
  logging.use_absl_handler()
  logging.get_absl_handler().setFormatter(
    _Line('%(asctime)s %(message)s', _TIME)
  )
  logging.set_verbosity(verbosity)
  logging.set_stderrthreshold('debug')
  if verbosity < 1:
    # JAX looks for every kind of device, and tells of each that is not there.
    python_logging.getLogger('jax').setLevel(python_logging.WARNING)
    for name in ('matplotlib', 'py.warnings'):
      python_logging.getLogger(name).setLevel(python_logging.ERROR)
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1')


def _open_streams() -> None:
  """Opens a stream that the shell has closed, as in `>&-`, on nothing.

  Otherwise the next file would get its number, and all that is written to it.
  """
  for number in range(3):
    try:
      os.fstat(number)
    except OSError:
      # The lowest number that is free is this one.
      os.open(os.devnull, os.O_RDWR)
  # Python has no streams where there were none at its start.
  if sys.stdout is None:
    sys.stdout = open(1, 'w', closefd=False)
  if sys.stderr is None:
    sys.stderr = open(2, 'w', closefd=False)


def cache() -> None:
  """Keeps compiled programs in the user's cache folder, for later commands.

  `JAX_COMPILATION_CACHE_DIR` names another folder; empty, it keeps none.
  Programs of different processors are kept apart.
  """
  if _CACHE in os.environ:
    return
  try:
    folder = user_cache.folder() / 'compiled' / _processor()
    folder.mkdir(parents=True, exist_ok=True)
  except (OSError, ValueError):
    return  # Without a cache, programs are compiled again.
  os.environ[_CACHE] = str(folder)
  for name, value in _CACHE_LIMITS.items():
    os.environ.setdefault(name, value)


def devices(count: int) -> contextlib.AbstractContextManager[Any]:
  """Starts JAX and returns a context in which games use several devices.

  Args:
    count: number of devices; 1 uses JAX's default device.

  Raises:
    ValueError: the machine has no such devices, or JAX does not start with the
      settings of the environment.
  """
  try:
    import jax

    found = jax.devices()
  except Exception as error:
    # JAX raises errors of many types, even assertions, for bad settings.
    raise ValueError(_no_device(error)) from None
  from coalesce_jax.parallel import mesh

  if count > len(found):
    raise ValueError(
      f'--devices={count}: JAX has {len(found)} of {found[0].platform}; '
      f'the cores of a CPU are devices with JAX_NUM_CPU_DEVICES={count}'
    )
  return mesh.use([] if count == 1 else found[:count])


def _no_device(error: Exception) -> str:
  """Returns why JAX has no device, and what to do."""
  lines = str(error).strip().splitlines() or [type(error).__name__]
  reason = lines[0][:200]
  asked = os.environ.get('JAX_PLATFORMS', '')
  if asked not in ('', 'cpu') and not isinstance(error, ValueError):
    return (
      f'JAX_PLATFORMS={asked}: JAX finds no such device here; use '
      f'JAX_PLATFORMS=cpu, or none ({reason})'
    )
  given = ', '.join(
    f'{name}={value:.40}'
    for name, value in sorted(os.environ.items())
    if name.startswith('JAX_') and name != _CACHE
    and value != _CACHE_LIMITS.get(name)
  )  # fmt: skip
  if not given:
    return f'JAX finds no device: {reason}'
  return (
    f'JAX does not start with {given}: {reason}; mend or unset what it says'
  )


def _processor() -> str:
  """Returns a short name of what programs are compiled for."""
  text = platform.machine() + platform.processor()
  info = pathlib.Path('/proc/cpuinfo')
  if info.is_file():
    rows = info.read_text(errors='replace').splitlines()
    kept = ('flags', 'Features', 'model name')
    text += ''.join(sorted({row for row in rows if row.startswith(kept)}))
  return hashlib.sha256(text.encode()).hexdigest()[:12]

"""Prepares a process for JAX, before JAX is imported.

Settings of the environment that are there already stay as they are.
"""

import contextlib
import hashlib
import logging as python_logging
import os
import pathlib
import platform
from typing import Any

from absl import flags
from absl import logging

from coalesce_jax.core import user_cache

_CACHE_BYTES = str(2 << 30)
_TIME = '%H:%M:%S'


class _Line(python_logging.Formatter):
  """Shows the time and the message, and the level of warnings and errors."""

  def format(self, record: python_logging.LogRecord) -> str:
    time, _, message = super().format(record).partition(' ')
    if record.levelno > python_logging.INFO:
      message = f'{record.levelname}: {message}'
    return f'{time} {message}'


def log(verbosity: int) -> None:
  """Sends log lines to stderr.

  Args:
    verbosity: -1 is warnings, 0 is information, 1 is debugging.
  """
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
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '1')


def cache() -> None:
  """Keeps compiled programs in the user's cache folder, for later commands.

  `JAX_COMPILATION_CACHE_DIR` names another folder; empty, it keeps none.
  Programs of different processors are kept apart.
  """
  if 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  try:
    folder = user_cache.folder() / 'compiled' / _processor()
    folder.mkdir(parents=True, exist_ok=True)
  except (OSError, ValueError):
    return  # Without a cache, programs are compiled again.
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(folder)
  os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')
  os.environ.setdefault('JAX_COMPILATION_CACHE_MAX_SIZE', _CACHE_BYTES)


def devices(count: int) -> contextlib.AbstractContextManager[Any]:
  """Starts JAX and returns a context in which games use several devices.

  Args:
    count: number of devices; 1 uses JAX's default device.

  Raises:
    ValueError: the machine has no such devices.
  """
  import jax

  from coalesce_jax.parallel import mesh

  try:
    found = jax.devices()
  except RuntimeError as error:
    asked = os.environ.get('JAX_PLATFORMS')
    if not asked:
      raise ValueError(f'JAX finds no device: {_first(error)}') from None
    raise ValueError(
      f'JAX_PLATFORMS={asked}: JAX finds no such device here; use '
      f'JAX_PLATFORMS=cpu, or none ({_first(error)})'
    ) from None
  if count > len(found):
    raise ValueError(
      f'--devices={count}: JAX has {len(found)} of {found[0].platform}; '
      f'the cores of a CPU are devices with JAX_NUM_CPU_DEVICES={count}'
    )
  return mesh.use([] if count == 1 else found[:count])


def _first(error: Exception) -> str:
  return str(error).strip().split('\n')[0][:200]


def _processor() -> str:
  """Returns a short name of what programs are compiled for."""
  text = platform.machine() + platform.processor()
  info = pathlib.Path('/proc/cpuinfo')
  if info.is_file():
    rows = info.read_text(errors='replace').splitlines()
    kept = ('flags', 'Features', 'model name')
    text += ''.join(sorted({row for row in rows if row.startswith(kept)}))
  return hashlib.sha256(text.encode()).hexdigest()[:12]

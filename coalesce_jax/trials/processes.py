"""Trials in processes of their own, so that every core compiles and runs.

Two threads of one process share one compiler; processes do not. A child builds
the trials itself, from settings: functions cannot be sent, settings can.

JAX reads its settings from the environment when it is imported, which a child
does before any function of this module runs in it. So what children are to
find is in the environment that they are started with.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from typing import Any

from absl import logging

from coalesce_jax.core import signals

# Where JAX keeps compiled programs.
_CACHE = 'JAX_COMPILATION_CACHE_DIR'
# What `_start` made, in a child.
_trials: dict[str, Callable[[], None]] = {}


def run(
  make: Callable[..., dict[str, Callable[[], None]]],
  arguments: tuple[Any, ...],
  names: list[str],
  stop: Callable[[], bool],
  done: Callable[[str], None],
  workers: int,
) -> None:
  """Runs ``make(*arguments, stop)[name]()`` for every name, in any order.

  Args:
    make: a function at the top of a module, such as a child can import.
    arguments: what can be pickled.
    names: of the functions to run.
    stop: whether a stop was asked for; asked here, told to the children.
    done: called with a name when it is finished.
    workers: number of children. They end with this process, and share the
      programs that they compile, in the folder of the environment's
      `JAX_COMPILATION_CACHE_DIR` or in one that is gone afterwards.

  Raises:
    Exception: the first one that a function raised; the rest is not begun.
  """
  context = multiprocessing.get_context('spawn')
  stopped = context.Event()
  with (
    tempfile.TemporaryDirectory() as cache,
    futures.ProcessPoolExecutor(
      workers,
      context,
      _start,
      (make, arguments, stopped, logging.get_verbosity()),
    ) as pool,
  ):
    # Children are started here, one with each of the first names.
    with _environment(_CACHE, os.environ.get(_CACHE) or cache):
      running = {pool.submit(_call, name): name for name in names}
    waiting = set(running)
    try:
      while waiting:
        ready, waiting = futures.wait(waiting, 0.2, futures.FIRST_COMPLETED)
        if stop():
          stopped.set()
        for finished in ready:
          finished.result()
          done(running[finished])
    except BaseException:
      stopped.set()
      pool.shutdown(cancel_futures=True)
      raise


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
  """Gives a variable of the environment a value for a while."""
  before = os.environ.get(name)
  os.environ[name] = value
  try:
    yield
  finally:
    if before is None:
      del os.environ[name]
    else:
      os.environ[name] = before


def _start(
  make: Callable[..., dict[str, Callable[[], None]]],
  arguments: tuple[Any, ...],
  stopped: Any,
  verbosity: int,
) -> None:
  # A stop goes to the parent, which passes it on.
  for number in signals.SIGNALS:
    signal.signal(number, signal.SIG_IGN)
  threading.Thread(target=_follow, daemon=True).start()
  logging.use_absl_handler()
  logging.set_verbosity(verbosity)
  logging.set_stderrthreshold('info')
  _trials.update(make(*arguments, stopped.is_set))


def _follow() -> None:
  """Ends this process when its parent does, however that ended."""
  parent = multiprocessing.parent_process()
  if parent is not None:
    parent.join()
    os._exit(1)


def _call(name: str) -> None:
  _trials[name]()

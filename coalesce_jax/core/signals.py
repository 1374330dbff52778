"""Turns SIGTERM, SIGHUP and Ctrl-C into stop requests, noticed at once.

Python runs signal handlers between two instructions of the main thread, which
can be minutes when XLA compiles. So a second thread is told of each signal by
the operating system. It acknowledges the signal, and ends the process if the
main thread does not follow.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import signal
import threading
from typing import Any

# Seconds that the main thread has to end by itself.
GRACE = 3.0
# SIGHUP is the end of the terminal. Windows has none.
SIGNALS = tuple(
  getattr(signal, name)
  for name in ('SIGTERM', 'SIGINT', 'SIGHUP')
  if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
  """A signal that ends the process, since nothing waits to be saved.

  Attributes:
    number: number of the signal.
  """

  def __init__(self, number: int):
    super().__init__(f'stopped by {signal.Signals(number).name}')
    self.number = number


def exit_code(number: int) -> int:
  """Returns the exit code of a process that a signal ended.

  It is 130 for Ctrl-C, as in a shell, and 1 for another signal.

  Args:
    number: number of the signal.
  """
  return 130 if number == signal.SIGINT else 1


class Request:
  """Whether a stop was requested. Calling it asks."""

  def __init__(self) -> None:
    self.numbers: list[int] = []
    self.asked = False

  def __call__(self) -> bool:
    self.asked = True
    return bool(self.numbers)


@contextlib.contextmanager
def catch(
  tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Request]:
  """Yields a function that returns whether a stop was requested.

  Who calls this function promises to stop soon after it returns True. From its
  first call on, a first signal only makes it return True, so that a run can
  save its state. A second signal, or one before that call, raises `Stopped` in
  the main thread. If the main thread is busy outside Python and does not end
  within `GRACE` seconds, the process ends.

  A SIGHUP that is ignored, as after `nohup`, stays ignored.

  Outside the main thread no signal is caught, because Python allows signal
  handlers in the main thread only.

  Args:
    tell: told at once, from another thread, what a signal does.
  """
  request = Request()
  if threading.current_thread() is not threading.main_thread():
    yield request
    return

  def handle(number: int, frame: Any) -> None:
    del frame
    request.numbers.append(number)
    if not request.asked or len(request.numbers) > 1:
      raise Stopped(number)

  read, write = os.pipe()
  os.set_blocking(write, False)
  over = threading.Event()
  watcher = threading.Thread(
    target=_watch, args=(read, request, over, tell), daemon=True
  )
  watcher.start()
  previous = {
    number: signal.signal(number, handle)
    for number in SIGNALS
    if number in (signal.SIGTERM, signal.SIGINT)
    or signal.getsignal(number) != signal.SIG_IGN
  }
  before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
  try:
    yield request
  finally:
    over.set()
    signal.set_wakeup_fd(before)
    for number, handler in previous.items():
      signal.signal(number, handler)
    os.close(write)  # The watcher reads the end of the pipe.
    watcher.join()
    os.close(read)


def _watch(
  read: int,
  request: Request,
  over: threading.Event,
  tell: Callable[[str], None],
) -> None:
  """Acknowledges signals, and ends a process that does not end by itself."""
  count = 0
  while received := os.read(read, 1):
    number = received[0]
    if number not in SIGNALS:
      continue
    count += 1
    if request.asked and count == 1:
      tell('stopping once the state is saved; Ctrl-C again stops at once')
      continue
    tell('stopping')
    if not over.wait(GRACE):
      os._exit(exit_code(number))

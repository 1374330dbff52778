"""Turns SIGTERM and Ctrl-C into a flag that training loops check."""

from collections.abc import Callable, Iterator
import contextlib
import signal
from typing import Any


@contextlib.contextmanager
def catch() -> Iterator[Callable[[], bool]]:
  """Yields a function that returns whether a stop was requested.

  The first signal only sets the flag, so that a run can save its state. A
  later Ctrl-C raises KeyboardInterrupt. Outside the main thread no signal is
  caught, because Python allows signal handlers in the main thread only.
  """
  received: list[int] = []

  def handle(number: int, frame: Any) -> None:
    del frame
    if received and number == signal.SIGINT:
      raise KeyboardInterrupt
    received.append(number)

  previous = {}
  for number in (signal.SIGTERM, signal.SIGINT):
    try:
      previous[number] = signal.signal(number, handle)
    except ValueError:
      break
  try:
    yield lambda: bool(received)
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)

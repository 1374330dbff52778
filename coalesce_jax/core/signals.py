"""Stop requests: SIGTERM and Ctrl-C set a flag that drivers look at."""

from collections.abc import Callable, Iterator
import contextlib
import signal
from typing import Any


@contextlib.contextmanager
def catch() -> Iterator[Callable[[], bool]]:
  """Yields a function that says whether a stop was asked for.

  The first signal sets the flag, so that a run can save; the second one of
  Ctrl-C raises KeyboardInterrupt. Outside the main thread nothing is caught.
  """
  asked: list[int] = []

  def handle(number: int, frame: Any) -> None:
    del frame
    if asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    asked.append(number)

  previous = {}
  for number in (signal.SIGTERM, signal.SIGINT):
    try:
      previous[number] = signal.signal(number, handle)
    except ValueError:
      break
  try:
    yield lambda: bool(asked)
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)

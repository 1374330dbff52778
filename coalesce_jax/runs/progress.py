"""Shows that long work goes on, how fast, and how long it will still take.

A terminal shows a bar. A file of logs gets a line every 10 seconds.
"""

from collections.abc import Callable, Iterator
import contextlib
import shutil
import sys
import threading
import time

from absl import logging
import tqdm

from coalesce_jax.training import loop

# Seconds between two lines of one piece of work.
EVERY = 10.0

# ``(step, note='') -> None``; the note is shown behind the numbers.
Show = Callable[..., None]


def steps(description: str, total: int) -> Show:
  """Returns a function that shows how many steps are done.

  Rates do not count what came before the first call, such as compilation.

  Args:
    description: the text before the numbers.
    total: number of steps.

  Returns:
    ``(step, note) -> None``. It shows the first and the last step, and in
    between one every `EVERY` seconds. A bar closes at the last step.
  """
  if sys.stderr.isatty():
    return _bar(description, total)
  first: list[tuple[int, float]] = []
  shown = [-EVERY]

  def line(step: int, note: str = '') -> None:
    now = time.monotonic()
    if not first:
      first.append((step, now))
    elif now - shown[0] < EVERY and step < total:
      return
    shown[0] = now
    since, began = first[0]
    parts = [f'{description}: step {step} of {total}']
    if step > since and now > began:
      rate = (step - since) / (now - began)
      parts.append(f'{rate:.3g} a second')
      if step < total:
        parts.append(f'{_duration((total - step) / rate)} left')
    logging.info('%s', ', '.join([*parts, *([note] if note else [])]))

  return line


def _bar(description: str, total: int) -> Show:
  bars: list[tqdm.tqdm] = []

  def move(step: int, note: str = '') -> None:
    if not bars:
      bars.append(
        tqdm.tqdm(
          total=total,
          initial=step,
          desc=description,
          file=sys.stderr,
          leave=False,
          ncols=shutil.get_terminal_size().columns,
        )  # fmt: skip
      )
    bar = bars[0]
    bar.set_postfix_str(note, refresh=False)
    bar.update(step - bar.n)
    if step >= total:
      bar.close()

  return move


def hooks(
  description: str, stop: Callable[[], bool] = lambda: False
) -> loop.Hooks:
  """Returns the effects of a run that is shown, and keeps no checkpoint.

  Args:
    description: the text before the numbers.
    stop: returns whether a stop was requested.
  """
  shown: list[Show] = []

  def progress(step: int, total: int) -> None:
    if not shown:
      shown.append(steps(description, total))
    shown[0](step)

  return loop.Hooks(
    stop=stop, progress=progress,
    working=lambda what: working(f'{description}: {what}'),
  )  # fmt: skip


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
  """Says that work without steps begins, goes on and is done.

  Args:
    text: what is done, such as 'adapted: compiling'. It is logged at once, and
      every `EVERY` seconds with the time that has passed.
  """
  began, over = time.monotonic(), threading.Event()

  def passed() -> float:
    return time.monotonic() - began

  def tell() -> None:
    while not over.wait(EVERY):
      logging.info('%s, %s so far', text, _duration(passed()))

  logging.info('%s', text)
  thread = threading.Thread(target=tell, daemon=True)
  thread.start()
  try:
    yield
  finally:
    over.set()
    thread.join()
  if passed() > EVERY:
    logging.info('%s: done in %s', text, _duration(passed()))


def _duration(seconds: float) -> str:
  """Returns '8 s', '3 min' or '2.5 h'."""
  if seconds < 99.5:
    return f'{seconds:.0f} s'
  if seconds < 5940:
    return f'{seconds / 60:.0f} min'
  return f'{seconds / 3600:.1f} h'

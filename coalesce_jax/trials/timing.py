"""Times that can be compared on a machine that others share.

Cases run in turns, so that a busy moment meets all of them, in another order in
every round, so that none always follows the same one; medians of the rounds and
medians of the rounds' ratios are what is reported.
"""

from collections.abc import Callable, Mapping
import dataclasses
import random
import statistics
import time
from typing import Any

import jax

from coalesce_jax.training import loop

Case = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Turns:
  """How long a timed call takes, and how many there are of each case.

  Attributes:
    rounds: timed calls of each.
    seconds: that a timed call takes, about.
    steps: of the game in a timed call; 0 is as many as take `seconds`.
  """

  rounds: int
  seconds: float
  steps: int = 0

  def fitting(self, run: Callable[[int], object], least: int = 1) -> int:
    """Steps of a timed call, of what runs a number of steps: at most 100."""
    if self.steps:
      return self.steps
    run(1)
    done, began, spent = 0, time.perf_counter(), 0.0
    while done < 3 and spent < self.seconds:
      run(1)
      done, spent = done + 1, time.perf_counter() - began
    return min(100, max(least, round(self.seconds * done / spent)))


def interleave(
  cases: Mapping[str, Case],
  *,
  rounds: int,
  steps: Mapping[str, int] | None = None,
  warm: bool = True,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, list[float]]:
  """Seconds of every case, or of one of its steps, in every round.

  Args:
    cases: functions that return when their work is done.
    rounds: at least 1.
    steps: in a call of each case; 1 where there is none.
    warm: one round before, that is not timed.
    stop: whether a stop was asked for; asked between two cases.

  Raises:
    loop.Interrupted: `stop` said so.
  """
  if warm:
    for case in cases.values():
      case()
  spent: dict[str, list[float]] = {name: [] for name in cases}
  order, shuffler = list(cases.items()), random.Random(0)
  for _ in range(rounds):
    shuffler.shuffle(order)
    for name, case in order:
      if stop():
        raise loop.Interrupted('while measuring')
      began = time.perf_counter()
      case()
      spent[name].append(time.perf_counter() - began)
  each = {} if steps is None else steps
  return {
    name: [s / each.get(name, 1) for s in times]
    for name, times in spent.items()
  }


def once(fn: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
  """Returns what a function returns when it is ready, and what it took.

  Args:
    fn: called once, without a warm-up: compilation counts.

  Returns:
    The result; and `seconds` by the clock, and `cpu_seconds` of all cores.
  """
  began, used = time.perf_counter(), time.process_time()
  found = jax.block_until_ready(fn())
  return found, {
    'seconds': time.perf_counter() - began,
    'cpu_seconds': time.process_time() - used,
  }


def median(spent: list[float]) -> float:
  """Median seconds."""
  return statistics.median(spent)


def ratio(above: list[float], below: list[float]) -> float:
  """Median over the rounds of `above` over `below`."""
  return statistics.median(a / b for a, b in zip(above, below, strict=True))

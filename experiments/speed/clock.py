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

from coalesce_jax import driver

Case = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Turns:
  """How long a timed call takes, and how many there are of each case.

  Attributes:
    rounds: timed calls of each.
    seconds: that a timed call of ours takes, about.
    steps: of the game in a timed call of ours; 0 is as many as take `seconds`,
      at least 2, for a scan of one step is none, and at most 100.
  """

  rounds: int
  seconds: float
  steps: int = 0

  def fitting(self, run: Callable[[int], object]) -> int:
    """Steps of a timed call, of what runs a number of steps."""
    if self.steps:
      return self.steps
    run(1)
    began = time.perf_counter()
    for _ in range(3):
      run(1)
    each = (time.perf_counter() - began) / 3.0
    return min(100, max(2, round(self.seconds / each)))


def interleave(
  cases: Mapping[str, Case],
  *,
  rounds: int,
  warm: bool = True,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, list[float]]:
  """Seconds of every case in every round.

  Args:
    cases: functions that return when their work is done.
    rounds: at least 1.
    warm: one round before, that is not timed.
    stop: whether a stop was asked for; asked between two cases.

  Raises:
    driver.Interrupted: `stop` said so.
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
        raise driver.Interrupted('while measuring')
      began = time.perf_counter()
      case()
      spent[name].append(time.perf_counter() - began)
  return spent


def median(spent: list[float]) -> float:
  """Median seconds."""
  return statistics.median(spent)


def ratio(above: list[float], below: list[float]) -> float:
  """Median over the rounds of `above` over `below`."""
  return statistics.median(a / b for a, b in zip(above, below, strict=True))

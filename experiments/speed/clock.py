"""Times that can be compared on a machine that others share.

Cases run in turns, A B C A B C, so that a busy moment meets all of them;
medians of the rounds and medians of the rounds' ratios are what is reported.
"""

from collections.abc import Callable, Mapping
import statistics
import time

from coalesce_jax import driver

Case = Callable[[], object]


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
  for _ in range(rounds):
    for name, case in cases.items():
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

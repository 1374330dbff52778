"""Defines the length of a run and how often its effects happen.

Shapes: S replicas, T rows of history.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

# Metrics by name, `[T, ...]`.
History = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Schedule:
  """The length of a run and the steps between its effects.

  Attributes:
    steps: number of steps.
    chunk: steps of one compiled scan. Each chunk makes one row of history.
    observe_every: steps between two calls of `Hooks.observe`; a multiple of
      `chunk`, or 0 for the start and the end only.
    save_seconds: least seconds between two checkpoints.
    select_every: steps between two scores of early stopping; a multiple of
      `chunk`, or 0 for none.
    select_after: the first step of which there may be a score.
    patience: number of scores without improvement after which a replica counts
      as finished.
    at_once: replicas that a device computes together, the others after them in
      the same program; None is all. Fewer replicas need less memory, and on a
      CPU they stay in the caches.
    fast_compile: whether a CPU compiles without optimizations. The program is
      ready in half the time, and its steps are slower.

  Raises:
    ValueError: a number is too small, or no multiple of `chunk`.
  """

  steps: int
  chunk: int = 50
  observe_every: int = 0
  save_seconds: float = 60.0
  select_every: int = 0
  select_after: int = 0
  patience: int = 5
  at_once: int | None = None
  fast_compile: bool = False

  def __post_init__(self):
    if self.steps < 1 or self.chunk < 1:
      raise ValueError(f'steps {self.steps}, chunk {self.chunk}: below 1')
    if not self.save_seconds >= 0.0:
      raise ValueError(f'save_seconds {self.save_seconds} is negative')
    if self.select_after < 0:
      raise ValueError(f'select_after {self.select_after} is negative')
    if self.patience < 1:
      raise ValueError(f'patience {self.patience} is below 1')
    if self.at_once is not None and self.at_once < 1:
      raise ValueError(f'at_once {self.at_once} is below 1')
    for name in ('observe_every', 'select_every'):
      if getattr(self, name) % self.chunk:
        raise ValueError(
          f'{name} {getattr(self, name)} is no multiple of chunk {self.chunk}'
        )


def joined(histories: Sequence[History]) -> History:
  """Joins the histories of several rounds.

  Args:
    histories: one for each round. Only metrics that all have are kept.

  Returns:
    The joined history. Its metric `round` counts the rounds from 1.
  """
  joined = {
    name: np.concatenate([h[name] for h in histories])
    for name in histories[0]
    if all(name in h for h in histories)
  }
  joined['round'] = np.concatenate(
    [np.full(len(h['step']), i) for i, h in enumerate(histories, 1)]
  )
  return joined


def warmup_of(asked: int | None, usual: int, steps: int) -> int:
  """Returns the number of warm-up steps at the start of a run.

  Args:
    asked: the configured number; None is `usual`, at most a fifth of the steps.
    usual: the usual number.
    steps: number of steps of the run.
  """
  return min(usual, steps // 5) if asked is None else asked


def chunk_of(steps: int, wanted: int = 50) -> int:
  """Returns a chunk length near `wanted` that divides `steps`.

  Args:
    steps: number of steps of the run.
    wanted: the largest chunk length.

  Returns:
    The largest divisor of `steps` between half of `wanted` and `wanted`.
    Without one it is `wanted`, at most half of the steps.
  """
  for n in range(wanted, max(wanted // 2, 1) - 1, -1):
    if steps % n == 0:
      return n
  return min(wanted, max(1, math.ceil(steps / 2)))

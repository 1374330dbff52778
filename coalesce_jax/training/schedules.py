"""Schedules: how long a run is, and how often what happens.

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
  """How long and how often.

  Attributes:
    steps: steps in all.
    chunk: steps of one compiled scan; one row of history each.
    observe_every: steps between two calls of `Hooks.observe`; a multiple of
      `chunk`, or 0 for never.
    save_seconds: least time between two checkpoints.
    select_every: steps between two scores of early stopping; a multiple of
      `chunk`, or 0 for none.
    patience: scores without a gain before a replica counts as finished.
    at_once: replicas that a device computes together, the others after them in
      the same program; None is all. Fewer need less memory, and on a CPU stay
      in its caches.
  """

  steps: int
  chunk: int = 50
  observe_every: int = 0
  save_seconds: float = 60.0
  select_every: int = 0
  patience: int = 5
  at_once: int | None = None

  def __post_init__(self):
    if self.steps < 1 or self.chunk < 1:
      raise ValueError(f'steps {self.steps}, chunk {self.chunk}: below 1')
    if self.at_once is not None and self.at_once < 1:
      raise ValueError(f'at_once {self.at_once} is below 1')
    for name in ('observe_every', 'select_every'):
      if getattr(self, name) % self.chunk:
        raise ValueError(
          f'{name} {getattr(self, name)} is no multiple of chunk {self.chunk}'
        )


def joined(histories: Sequence[History]) -> History:
  """Joins the histories of rounds; `round` counts them from 1."""
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
  """Returns how many steps at the start are a warm-up.

  Args:
    asked: what was asked for; None is the usual number, at most a fifth of the
      steps.
    usual: the usual number.
    steps: steps in all.
  """
  return min(usual, steps // 5) if asked is None else asked


def chunk_of(steps: int, wanted: int = 50) -> int:
  """A chunk length near `wanted` that divides `steps`, or `wanted`."""
  for n in range(wanted, max(wanted // 2, 1) - 1, -1):
    if steps % n == 0:
      return n
  return min(wanted, max(1, math.ceil(steps / 2)))

"""Defines the settings of learners, with their defaults. It needs no JAX."""

import dataclasses
import math

from coalesce_jax.core import patterns

STARTS = ('copy', 'random')
BANKS = ('learned', 'random')
# The learners of `learners.TABLE`.
LEARNERS = (
  'standalone', 'sequential', 'joint', 'replay', 'distillation', 'ewc', 'l2',
  'last_layer', 'scale_shift', 'low_rank', 'adapters', 'taps', 'piggyback',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Piggyback:
  """The settings of Piggyback GAN.

  Attributes:
    share: lambda, the share of free filters in a factorised layer.
    shares: pairs of (pattern of whole leaf names, share) for single layers; the
      first match wins. `share` holds for the other kernels.
    first_and_last: whether the first and the last layer are factorised too.
    start: 'copy' starts a task as the earlier task `like`; 'random' draws
      mixing matrices and starts all else as a new network.
    like: index of that task, such as 0 for the first and -1 for the last one.
    bank: 'learned' or 'random'. The latter replaces the filters of the bank by
      random ones of the same norms, a control. Its tasks start at random.
    novelty: (lowest, highest) share. The share of a task then follows from how
      far the first task's generator is from the targets of the task, see
      `piggyback_learner.novelty`. None is `share` for all tasks.

  Raises:
    ValueError: a setting is out of range or unknown.
  """

  share: float = 0.25
  shares: tuple[tuple[str, float], ...] = ()
  first_and_last: bool = False
  start: str = 'copy'
  like: int = 0
  bank: str = 'learned'
  novelty: tuple[float, float] | None = None

  def __post_init__(self):
    for name, choices in (('start', STARTS), ('bank', BANKS)):
      if getattr(self, name) not in choices:
        raise ValueError(
          f'{name} {getattr(self, name)!r} is not one of {choices}'
        )
    patterns.check((pattern for pattern, _ in self.shares), 'shares')
    for what, value in (('share', self.share), *self.shares):
      _share(what, value)
    if self.novelty is not None:
      low, high = self.novelty
      for value in self.novelty:
        _share('novelty', value)
      if low > high:
        raise ValueError(
          f'novelty {self.novelty}: the lowest share comes first'
        )


def _share(what: str, value: float) -> None:
  if not (math.isfinite(value) and 0.0 <= value <= 1.0):
    raise ValueError(f'{what}: share {value} is not in [0, 1]')

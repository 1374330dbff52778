"""Settings of ternarization."""

import dataclasses

from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib


@dataclasses.dataclass(frozen=True)
class Ternary:
  """How a generator is ternarized.

  Attributes:
    scheme: 'truncated_gaussian', 'twn' or 'ttq'.
    granularity: one scale a 'layer' or a 'channel'.
    leaves: patterns of the leaves that become ternary; all kernels but those of
      the output layer by default.
    threshold_init: see `transforms.ternary`.
    thresholds_first: update thresholds and then weights on the same batch,
      instead of both at once.
    distill: weight of the distance to the float generator at shared latents.
    critic: whether the critics are ternary too, by the same settings; they do
      not ship.
  """

  scheme: str = 'truncated_gaussian'
  granularity: str = 'channel'
  leaves: tuple[str, ...] = ('(?!out/).*kernel',)
  threshold_init: str = 'sigma'
  thresholds_first: bool = True
  distill: float = 100.0
  critic: bool = False

  def __post_init__(self):
    if not self.distill >= 0.0:
      raise ValueError(f'ternary: distill {self.distill} is negative')
    reparam(self)


def reparam(settings: Ternary) -> base.Reparam:
  """Returns the reparametrization of the generator.

  Raises:
    ValueError: unknown settings.
  """
  return ternary_lib.ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
    thresholds_first=settings.thresholds_first,
  )


def critic_reparam(settings: Ternary) -> base.Reparam:
  """Returns the reparametrization of the critics, which learn at once."""
  if not settings.critic:
    return base.identity()
  return ternary_lib.ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
  )

"""Defines the settings of ternarization."""

import dataclasses

from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib


@dataclasses.dataclass(frozen=True)
class Ternary:
  """The settings of ternarization.

  Attributes:
    scheme: 'truncated_gaussian', 'twn' or 'ttq'.
    granularity: group of one scale, a 'layer' or a 'channel'.
    leaves: patterns of the leaves that become ternary. By default these are all
      kernels but that of the output layer.
    threshold_init: see `transforms.ternary`.
    thresholds_first: whether a step updates first the thresholds and then the
      weights, on the same batch, instead of both at once.
    distill: weight of the squared distance to the float generator at the same
      latents.
    critic: whether the critics are ternary too, with the same settings. Critics
      are not deployed.

  Raises:
    ValueError: a setting is unknown, or `distill` is negative.
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

  Args:
    settings: settings of ternarization.

  Raises:
    ValueError: a setting is unknown.
  """
  return ternary_lib.ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
    thresholds_first=settings.thresholds_first,
  )


def critic_reparam(settings: Ternary) -> base.Reparam:
  """Returns the reparametrization of the critics.

  Their thresholds and weights are updated at once.

  Args:
    settings: settings of ternarization.
  """
  if not settings.critic:
    return base.identity()
  return ternary_lib.ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=tuple(settings.leaves),
    threshold_init=settings.threshold_init,
  )

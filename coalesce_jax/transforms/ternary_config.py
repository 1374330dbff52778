"""Defines the settings of ternarization. It needs no JAX."""

import dataclasses
import math

from coalesce_jax.core import patterns

# What implements these names is in `ternary_schemes`.
SCHEMES = ('truncated_gaussian', 'twn', 'ttq')
THRESHOLD_INITS = ('sigma', 'max')
GRANULARITIES = ('layer', 'channel')


@dataclasses.dataclass(frozen=True)
class Ternary:
  """The settings of ternarization.

  Attributes:
    scheme: one of `SCHEMES`.
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
    if not math.isfinite(self.distill):
      raise ValueError(f'ternary: distill {self.distill} is not finite')
    patterns.check(self.leaves, 'ternary leaves')
    check(self.scheme, self.granularity, self.threshold_init)


def check(scheme: str, granularity: str, threshold_init: str) -> None:
  """Raises ValueError if a name is unknown."""
  for name, value, choices in (
    ('scheme', scheme, SCHEMES),
    ('granularity', granularity, GRANULARITIES),
    ('threshold_init', threshold_init, THRESHOLD_INITS),
  ):
    if value not in choices:
      raise ValueError(f'{name} {value!r} is not one of {choices}')

"""Defines the settings of discriminator optimal transport. It needs no JAX."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Config:
  """The settings of discriminator optimal transport.

  Attributes:
    steps: number of gradient steps.
    rate: step size, by which the gradient is multiplied.
    pull: rho, in critic units per unit of the latents. It keeps latents near
      their start.

  Raises:
    ValueError: `steps` is below 1, `rate` is not positive or `pull` is
      negative.
  """

  steps: int = 10
  rate: float = 0.1
  pull: float = 1.0

  def __post_init__(self):
    if self.steps < 1:
      raise ValueError(f'refine: steps {self.steps} is below 1')
    if not 0.0 < self.rate < math.inf:
      raise ValueError(f'refine: rate {self.rate} is not positive and finite')
    if not 0.0 <= self.pull < math.inf:
      raise ValueError(f'refine: pull {self.pull} is not in [0, inf)')

"""Names the ways of making a network smaller. It needs no JAX."""

from collections.abc import Mapping
from typing import NamedTuple

# Steps in which agents choose channels, by default.
AGENT_STEPS = 400
# Weight of the local density while the smaller network trains, by default.
DENSITY_WEIGHT = 10.0


class Method(NamedTuple):
  """What a method does.

  Attributes:
    channels: 'uniform', 'magnitude', 'slimming' or 'density'.
    new: whether the smaller network starts as a new one.
    distilled: whether it also imitates the large network.
    cooperative: whether the critic closes channels meanwhile.
    local: whether it also keeps the local density of samples.
  """

  channels: str
  new: bool = False
  distilled: bool = False
  cooperative: bool = False
  local: bool = False


METHODS: Mapping[str, Method] = {
  'narrow': Method('uniform', new=True),
  'narrow_distilled': Method('uniform', new=True, distilled=True),
  'uniform': Method('uniform'),
  'magnitude': Method('magnitude'),
  'slimming': Method('slimming'),
  'gcc': Method('slimming', distilled=True, cooperative=True),
  'magnitude_local': Method('magnitude', local=True),
  'density': Method('density', local=True),
  'density_distilled': Method('density', distilled=True, local=True),
}

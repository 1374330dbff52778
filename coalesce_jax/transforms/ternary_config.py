"""Settings of ternarization, and what they add to a game."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib


@dataclasses.dataclass(frozen=True)
class Ternary:
  """How the generator is ternarized.

  Attributes:
    scheme: 'truncated_gaussian', 'twn' or 'ttq'.
    granularity: one scale a 'layer' or a 'channel'.
    leaves: patterns of the leaves that become ternary.
    threshold_init: see `transforms.ternary`.
    thresholds_first: update thresholds and then weights on the same batch,
      instead of both at once.
    distill: weight of the distance to the float generator at shared latents.
    critic: whether the critics are ternary too, by the same settings; they do
      not ship.
  """

  scheme: str = 'truncated_gaussian'
  granularity: str = 'channel'
  leaves: tuple[str, ...] = ('.*/kernel',)
  threshold_init: str = 'sigma'
  thresholds_first: bool = True
  distill: float = 100.0
  critic: bool = False

  def __post_init__(self):
    if not self.distill >= 0.0:
      raise ValueError(f'ternary: distill {self.distill} is negative')
    transform(self)


class Built(NamedTuple):
  """What a ternary scheme adds to a game; nothing, by default.

  Attributes:
    generator: transform of the generator's parameters.
    critic: of the critics'.
    term: loss of distillation.
    phases: of the generator's optimiser.
  """

  generator: base.Transform | None = None
  critic: base.Transform | None = None
  term: Any = None
  phases: tuple[str, ...] = ()


@functools.lru_cache(maxsize=32)
def build(settings: Ternary | None, network: types.Network) -> Built:
  """Transforms, distillation term and phases of a ternary scheme.

  Cached, so that equal settings share one compiled game.
  """
  if settings is None:
    return Built()
  made = transform(settings)

  def distill(latent, z, x, teacher):
    del latent
    target = jax.lax.stop_gradient(network.apply(teacher, z))
    return settings.distill * jnp.mean((x - target) ** 2)

  phases = ('thresholds/.*', '(?!thresholds/).*')
  return Built(
    generator=made,
    critic=made if settings.critic else None,
    term=distill if settings.distill else None,
    phases=phases if settings.thresholds_first else (),
  )


def transform(settings: Ternary) -> base.Transform:
  """The transform of a scheme; ValueError for unknown settings."""
  return ternary_lib.ternary(
    scheme=settings.scheme,
    granularity=settings.granularity,
    leaves=settings.leaves,
    threshold_init=settings.threshold_init,
  )

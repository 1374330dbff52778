"""Builds adversarial losses by name."""

from collections.abc import Callable
import functools

from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan.adversarial import base
from coalesce_jax.gan.adversarial import bce
from coalesce_jax.gan.adversarial import hinge
from coalesce_jax.gan.adversarial import lsgan
from coalesce_jax.gan.adversarial import wgan

# Losses of single scores.
PLAIN: dict[str, Callable[[bool], base.Adversarial]] = {
  'lsgan': lsgan.make,
  'bce': bce.make,
  'hinge': hinge.make,
}


@functools.lru_cache(maxsize=64)
def build(
  name: str,
  *,
  penalty_weight: float = 10.0,
  penalty: str = 'two_sided',
  norm: str = 'sample',
  joined: bool = False,
) -> base.Adversarial:
  """Returns the losses of a name. Equal arguments return the same object.

  Args:
    name: one of `config.ADVERSARIAL`.
    penalty_weight: weight of the gradient penalty, see `wgan.make`. Only 'wgan'
      has a penalty; other losses ignore this and the next two arguments.
    penalty: kind of gradient penalty.
    norm: norm of the gradient.
    joined: see `base.from_scores`; 'wgan' ignores it.
  """
  if name in PLAIN:
    return PLAIN[name](joined)
  return wgan.make(penalty_weight=penalty_weight, penalty=penalty, norm=norm)


def of(config: config_lib.Config) -> base.Adversarial:
  """Returns the losses that the settings of a game name."""
  return build(
    config.adversarial,
    penalty_weight=config.penalty_weight,
    penalty=config.penalty,
    norm=config.gp_norm,
    joined=config.joined_scores,
  )

"""Adversarial losses by name."""

from collections.abc import Callable
import functools

from coalesce_jax.gan.adversarial import base
from coalesce_jax.gan.adversarial import bce
from coalesce_jax.gan.adversarial import hinge
from coalesce_jax.gan.adversarial import lsgan
from coalesce_jax.gan.adversarial import wgan

# Those that take no settings; the Wasserstein loss has its own.
PLAIN: dict[str, Callable[[], base.Adversarial]] = {
  'lsgan': lsgan.make,
  'bce': bce.make,
  'hinge': hinge.make,
}
NAMES = ('wgan', *PLAIN)


@functools.lru_cache(maxsize=64)
def build(
  name: str,
  *,
  penalty_weight: float = 10.0,
  penalty: str = 'two_sided',
  norm: str = 'sample',
) -> base.Adversarial:
  """Returns the losses; the same object for the same arguments.

  Args:
    name: one of `NAMES`.
    penalty_weight: see `wgan.make`, as the rest; other losses ignore them.
    penalty: kind of gradient penalty.
    norm: of the gradient.
  """
  if name in PLAIN:
    return PLAIN[name]()
  return wgan.make(penalty_weight=penalty_weight, penalty=penalty, norm=norm)

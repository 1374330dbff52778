"""Least-squares losses."""

from coalesce_jax.gan.adversarial import lsgan
from tests.gan.adversarial import published


def test_losses_are_the_published_ones():
  published.check(
    lsgan.make(),
    of_real=lambda s: (s - 1) ** 2 / 2,
    of_fake=lambda s: s**2 / 2,
    of_generator=lambda s: (s - 1) ** 2 / 2,
  )

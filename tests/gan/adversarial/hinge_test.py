"""Hinge losses."""

import numpy as np

from coalesce_jax.gan.adversarial import hinge
from tests.gan.adversarial import published


def test_losses_are_the_published_ones():
  published.check(
    hinge.make(),
    of_real=lambda s: np.maximum(0, 1 - s),
    of_fake=lambda s: np.maximum(0, 1 + s),
    of_generator=lambda s: -s,
  )

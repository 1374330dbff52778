"""Hinge losses."""

import numpy as np
import pytest

from coalesce_jax.gan.adversarial import hinge
from tests.gan.adversarial import published


@pytest.mark.parametrize('joined', [False, True])
def test_losses_are_the_published_ones(joined):
  published.check(
    hinge.make(joined),
    of_real=lambda s: np.maximum(0, 1 - s),
    of_fake=lambda s: np.maximum(0, 1 + s),
    of_generator=lambda s: -s,
  )

"""Cross-entropy losses, the generator's not saturating."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from coalesce_jax.gan.adversarial import bce
from tests.gan.adversarial import published


@pytest.mark.parametrize('joined', [False, True])
def test_losses_are_the_published_ones(joined):
  published.check(
    bce.make(joined),
    of_real=lambda s: -np.log(special.expit(s)),
    of_fake=lambda s: -np.log(1 - special.expit(s)),
    of_generator=lambda s: -np.log(special.expit(s)),
  )


def test_scores_far_from_zero_have_finite_losses_and_gradients():
  made = bce.make()
  scores = jnp.array([-200.0, 200.0])
  # -log of the probability of a sample that is surely fake: its score.
  np.testing.assert_allclose(made.generator_loss(scores), 100.0, rtol=1e-5)
  gradient = jax.grad(made.generator_loss)(scores)
  np.testing.assert_allclose(gradient, [-0.5, 0.0], atol=1e-6)

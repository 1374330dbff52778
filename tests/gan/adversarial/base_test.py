"""What losses of single scores share."""

import jax.numpy as jnp

from coalesce_jax.gan.adversarial import base
from tests.gan.adversarial import published


def test_losses_are_means_of_functions_of_single_scores():
  made = base.from_scores(lambda s: s**2, lambda s: 3.0 * s, lambda s: s - 7.0)
  published.check(made, lambda s: s**2, lambda s: 3.0 * s, lambda s: s - 7.0)


def test_a_critic_is_called_with_each_kind_of_samples():
  made = base.from_scores(lambda s: s, lambda s: 10.0 * s, lambda s: s)
  loss, aux = made.critic_loss(
    lambda x: 2.0 * x.sum(-1), jnp.ones((3, 2)), jnp.zeros((5, 2)), None
  )
  assert float(loss) == 4.0 and float(aux['gap']) == 4.0


def test_losses_of_patches_are_means_over_patches():
  # The mean score is 0 in every sample, and no score is.
  scores = jnp.array([[[2.0, -2.0]], [[1.0, -1.0]]])
  made = base.from_scores(lambda s: s**2, lambda s: jnp.abs(s), lambda s: s**2)
  loss, aux = made.critic_loss(lambda x: x, scores, 2.0 * scores, None)
  assert float(loss) == 2.5 + 3.0 and float(aux['gap']) == 0.0
  assert float(made.generator_loss(scores)) == 2.5

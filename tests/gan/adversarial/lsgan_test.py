"""Least-squares losses."""

import jax
import jax.numpy as jnp
import pytest

from coalesce_jax.gan.adversarial import lsgan
from tests.gan.adversarial import published


@pytest.mark.parametrize('joined', [False, True])
def test_losses_are_the_published_ones(joined):
  published.check(
    lsgan.make(joined),
    of_real=lambda s: (s - 1) ** 2 / 2,
    of_fake=lambda s: s**2 / 2,
    of_generator=lambda s: (s - 1) ** 2 / 2,
  )


@pytest.mark.parametrize('joined,sizes', [(False, [2, 3]), (True, [5])])
def test_joined_scores_are_of_one_batch(joined, sizes):
  seen = []

  def critic(x):
    seen.append(len(x))
    return x[:, 0]

  lsgan.make(joined).critic_loss(
    critic, jnp.ones((2, 1)), jnp.zeros((3, 1)), jax.random.key(0)
  )
  assert seen == sizes

"""Adversarial losses by name."""

import jax
import jax.numpy as jnp
import pytest

from coalesce_jax.gan import config
from coalesce_jax.gan.adversarial import registry
from tests import small


def test_the_settings_of_the_penalty_reach_the_critic():
  def steep(x):
    return 3.0 * jnp.sum(x, -1)

  x = jnp.ones((4, 1))
  losses = {
    (weight, kind): float(
      registry.build('wgan', penalty_weight=weight, penalty=kind).critic_loss(
        steep, x, 0.0 * x, jax.random.key(0)
      )[0]
    )
    for weight, kind in ((10.0, 'two_sided'), (1.0, 'two_sided'), (1.0, 'none'))
  }
  # Weight times (3 - 1)^2, less a gap of 3.
  wanted = {(10.0, 'two_sided'): 37.0, (1.0, 'two_sided'): 1.0}
  for settings, value in wanted.items():
    assert losses[settings] == pytest.approx(value, rel=1e-5)
  assert losses[1.0, 'none'] == pytest.approx(-3.0)


# One name by default: it compiles a step.
@pytest.mark.parametrize(
  'name',
  [
    'hinge',
    *(pytest.param(n, marks=pytest.mark.slow) for n in ('lsgan', 'bce')),
  ],
)
def test_a_game_descends_the_loss_that_its_settings_name(name):
  played, state, inputs, key = small.made(
    small.config(adversarial=name, critic_steps=1), count=1
  )
  after, metrics = played.step(state, inputs, key)
  assert float(metrics['slope'][0]) == 1.0
  leaves = jax.tree.leaves((after.generator, after.critics))
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


def test_equal_arguments_give_one_object_so_that_games_share_a_program():
  assert registry.build('wgan', norm='channel') is registry.build(
    'wgan', norm='channel'
  )
  assert registry.build('wgan') is not registry.build('wgan', norm='channel')


def test_each_name_has_the_loss_of_its_paper():
  losses = {
    name: float(registry.build(name).generator_loss(jnp.full(3, 2.0)))
    for name in config.ADVERSARIAL
  }
  # -log of a sigmoid at 2 is log(1 + exp(-2)).
  assert losses == pytest.approx(
    {'wgan': -2.0, 'lsgan': 0.5, 'bce': 0.126928, 'hinge': -2.0}, rel=1e-5
  )
  slope = jnp.float32(2.0)
  assert float(registry.build('wgan').steepness(slope)) == 2.0
  assert float(registry.build('hinge').steepness(slope)) == 1.0

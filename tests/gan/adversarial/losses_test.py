"""Adversarial losses: published formulas, optima, names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from coalesce_jax.gan import game
from coalesce_jax.gan.adversarial import registry
from tests import small

REAL, FAKE = np.array([0.3, 2.0, -1.0]), np.array([-0.5, 1.5, 0.1])
# Critic's loss of real samples and of fakes, generator's loss of fakes.
FORMULAS = {
  'lsgan': (
    lambda s: (s - 1) ** 2 / 2, lambda s: s**2 / 2, lambda s: (s - 1) ** 2 / 2
  ),
  'bce': (
    lambda s: -np.log(special.expit(s)),
    lambda s: -np.log(1 - special.expit(s)),
    lambda s: -np.log(special.expit(s)),
  ),
  'hinge': (
    lambda s: np.maximum(0, 1 - s), lambda s: np.maximum(0, 1 + s), lambda s: -s
  ),
}  # fmt: skip


def identity(x):
  return x


@pytest.mark.parametrize('name', FORMULAS)
def test_losses_are_the_published_ones(name):
  of_real, of_fake, of_generator = FORMULAS[name]
  made = registry.build(name)
  loss, aux = made.critic_loss(
    identity, jnp.asarray(REAL), jnp.asarray(FAKE), jax.random.key(0)
  )
  wanted = of_real(REAL).mean() + of_fake(FAKE).mean()
  np.testing.assert_allclose(loss, wanted, rtol=1e-5)
  np.testing.assert_allclose(aux['gap'], REAL.mean() - FAKE.mean(), rtol=1e-5)
  assert float(aux['slope']) == 1.0 and float(aux['penalty']) == 0.0
  np.testing.assert_allclose(
    made.generator_loss(jnp.asarray(FAKE)), of_generator(FAKE).mean(), rtol=1e-5
  )
  # Scores have no unit of length: nothing is divided by a slope.
  assert float(made.distance(jnp.float32(3.0), jnp.float32(2.0))) == 3.0
  assert float(made.steepness(jnp.float32(2.0))) == 1.0


def test_a_wasserstein_critic_is_measured_by_its_slope():
  made = registry.build('wgan')
  assert float(made.distance(jnp.float32(3.0), jnp.float32(2.0))) == 1.5
  assert float(made.steepness(jnp.float32(2.0))) == 2.0
  assert float(made.steepness(jnp.float32(0.5))) == 1.0
  by_channel = registry.build('wgan', norm='channel')
  assert float(by_channel.steepness(jnp.float32(2.0))) == 1.0
  np.testing.assert_allclose(made.generator_loss(jnp.array([1.0, 2.0])), -1.5)


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


@pytest.mark.parametrize('name', FORMULAS)
def test_a_game_descends_the_loss_that_its_settings_name(name):
  played, state, inputs, key = small.made(
    small.config(adversarial=name, critic_steps=1), count=1
  )
  after, metrics = played.step(state, inputs, key)
  assert float(metrics['slope'][0]) == 1.0
  leaves = jax.tree.leaves((after.generator, after.critics))
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


def test_unknown_losses_are_refused():
  with pytest.raises(ValueError, match="adversarial 'wgangp' is not one of"):
    game.Config(adversarial='wgangp')

"""The convex WGAN by gradients reaches its closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import convex
from coalesce_jax.gan import convex_game
from coalesce_jax.gan import sources
from coalesce_jax.training import loop
from coalesce_jax.training import schedules

BETA, COUNT = 0.8, 64


def data():
  rng = np.random.default_rng(0)
  scales = np.array([[2.0, 1.5, 1.0, 0.6, 0.3]])
  x, z = rng.normal(size=(COUNT, 5)) * scales, rng.normal(size=(COUNT, 4))
  return jnp.asarray(z), jnp.asarray(x)


def settings(steps=1500):
  return config_lib.Config(
    batch_size=COUNT, critic_steps=1, learning_rate=1e-2, beta1=0.0,
    decay_steps=steps, held_out=False, epsilon=1e-3,
  )  # fmt: skip


def test_the_trained_game_reaches_the_objective_of_the_closed_form():
  z, x = data()
  game, inputs, init = convex_game.make(settings(), z, x, BETA)
  result = loop.drive(
    game.task, init(jax.random.key(1)), inputs, jax.random.key(2),
    schedules.Schedule(1500, 150),
  )  # fmt: skip
  best = convex.solve(z, x, BETA)
  made = z @ result.model['w']
  value = float(jnp.sum(made**2)) / COUNT
  assert value == pytest.approx(float(best.value), rel=0.02)
  assert float(convex.residual(x, made)) == pytest.approx(BETA, rel=0.02)
  # At the start it is far from it.
  start = z @ init(jax.random.key(1)).generator['w']
  assert float(convex.residual(x, start)) > 2.0 * BETA
  # The critic bounds the value from below, and sees the active directions.
  critic = game.critics(result.state)['a'][0]
  critic = 0.5 * (critic + critic.T)
  bound = float(convex.dual_value(x, critic, BETA))
  assert 0.98 * value < bound <= float(best.value) * (1.0 + 1e-5)
  np.testing.assert_allclose(
    np.linalg.eigvalsh(critic), [0.0, 0.0, 1.0, 1.0, 1.0], atol=0.05
  )


def test_the_critic_loss_is_the_penalty_minus_the_gap():
  z, x = data()
  a = np.random.default_rng(1).normal(size=(5, 5))
  symmetric = 0.5 * (a + a.T)
  network = convex_game.critic(5)
  fake = x[::-1] * 0.5
  loss, aux = convex_game.losses(BETA, 5).critic_loss(
    lambda v: network.apply({'a': jnp.asarray(a)}, v), x, fake, None
  )
  moments = (np.asarray(v.T @ v) / COUNT for v in (x, fake))
  gap = sum(
    sign * (symmetric * s).sum()
    for sign, s in zip((1.0, -1.0), moments, strict=True)
  )
  norm = np.linalg.norm(symmetric, 'nuc')
  assert float(aux['gap']) == pytest.approx(gap, rel=1e-4)
  assert float(aux['penalty']) == pytest.approx(norm, rel=1e-4)
  assert float(loss) == pytest.approx(BETA * norm - gap, rel=1e-4)
  del z


def test_every_batch_is_the_whole():
  z, _ = data()
  source = convex_game.whole(z)
  drawn = sources.draw((source,), jax.random.key(0), 2 * COUNT)
  np.testing.assert_array_equal(drawn[0], np.concatenate([z, z]))


def test_batches_and_latents_must_fit():
  z, x = data()
  with pytest.raises(ValueError, match='^latents: 3 for 64'):
    convex_game.make(settings(), z[:3], x, BETA)
  with pytest.raises(ValueError, match='^batch_size 64: all 32 samples'):
    convex_game.make(settings(), z[:32], x[:32], BETA)

"""Losses against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan.adversarial import wgan

KEY = jax.random.key(0)


def linear(direction):
  return lambda x: x.reshape(len(x), -1) @ direction


def test_gap_of_a_linear_critic_is_the_shift_of_the_means():
  real = jax.random.normal(KEY, (50, 3))
  gap = wgan.dual_gap(
    linear(jnp.array([1.0, 0.0, 0.0])), real + jnp.array([[2.0, 0, 0]]), real
  )
  np.testing.assert_allclose(gap, 2.0, rtol=1e-5)


@pytest.mark.parametrize(
  'slope,penalty,expected',
  [
    (3.0, 'two_sided', 4.0),
    (3.0, 'one_sided', 4.0),
    (0.5, 'two_sided', 0.25),
    (0.5, 'one_sided', 0.0),
  ],
)
def test_penalty_of_a_linear_critic_is_known(slope, penalty, expected):
  direction = jnp.array([0.6, 0.8]) * slope
  value, mean_slope = wgan.gradient_penalty(
    linear(direction), jax.random.normal(KEY, (7, 2)), penalty=penalty
  )
  np.testing.assert_allclose(value, expected, atol=1e-5)
  np.testing.assert_allclose(mean_slope, slope, rtol=1e-5)


def test_channel_norm_is_taken_at_each_pixel():
  # Gradient (3, 4) at every one of 4 pixels: 5 a pixel, 10 a sample.
  direction = jnp.tile(jnp.array([3.0, 4.0]), 4)
  points = jnp.zeros((2, 2, 2, 2))
  by_pixel, slope = wgan.gradient_penalty(
    linear(direction), points, norm='channel'
  )
  by_sample, _ = wgan.gradient_penalty(linear(direction), points)
  np.testing.assert_allclose(by_pixel, 16.0, rtol=1e-5)
  np.testing.assert_allclose(by_sample, 81.0, rtol=1e-5)
  np.testing.assert_allclose(slope, 10.0, rtol=1e-5)


def test_penalty_equals_that_of_gradients_taken_sample_by_sample():
  w = jax.random.normal(KEY, (3, 3))
  critic = lambda x: jnp.sum(jnp.tanh(x @ w), -1)  # noqa: E731
  points = jax.random.normal(jax.random.key(1), (20, 3))
  gradients = jax.vmap(jax.grad(lambda x: critic(x[None])[0]))(points)
  norms = jnp.linalg.norm(gradients, axis=-1)
  value, slope = wgan.gradient_penalty(critic, points)
  np.testing.assert_allclose(value, jnp.mean((norms - 1) ** 2), rtol=1e-5)
  np.testing.assert_allclose(slope, jnp.mean(norms), rtol=1e-5)


def test_a_critic_of_patches_is_as_steep_as_the_mean_of_its_scores():
  w = jax.random.normal(KEY, (3, 6))
  patches = lambda x: jnp.tanh(x @ w).reshape(-1, 2, 3)  # noqa: E731
  whole = lambda x: jnp.tanh(x @ w).mean(1)  # noqa: E731
  x, y = jax.random.normal(jax.random.key(1), (2, 9, 3))
  for penalty in ('two_sided', 'one_sided', 'none'):
    found, expected = (
      wgan.critic_loss(critic, x, y, KEY, penalty=penalty)
      for critic in (patches, whole)
    )
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for name, value in expected[1].items():
      np.testing.assert_allclose(found[1][name], value, rtol=1e-5, atol=1e-7)


def test_penalty_has_a_finite_derivative_at_zero_gradient():
  def loss(scale):
    value, _ = wgan.gradient_penalty(
      lambda x: scale * jnp.sum(x, -1), jnp.ones((4, 2))
    )
    return value

  assert bool(jnp.isfinite(jax.grad(loss)(0.0)))


def test_interpolated_points_lie_on_the_segments():
  real, fake = jnp.ones((30, 2)), jnp.zeros((30, 2))
  points = wgan.interpolate(KEY, real, fake)
  assert bool(jnp.all((points >= 0) & (points <= 1)))
  np.testing.assert_allclose(points[:, 0], points[:, 1])
  assert float(jnp.std(points[:, 0])) > 0.2


def test_slope_correction_undoes_the_penalty_of_a_linear_critic():
  # max over g of g W - weight (g - 1)^2.
  distance, weight = 3.0, 10.0
  grid = np.linspace(0.5, 2.0, 150001)
  value = grid * distance - weight * (grid - 1.0) ** 2
  g = grid[np.argmax(value)]
  np.testing.assert_allclose(g, 1.0 + distance / (2.0 * weight), rtol=1e-4)
  np.testing.assert_allclose(
    wgan.distance(g * distance, g), distance, rtol=1e-5
  )
  np.testing.assert_allclose(wgan.distance(jnp.float32(1.5), 0.5), 1.5)


def test_a_wasserstein_critic_is_measured_by_its_slope():
  made = wgan.make()
  assert float(made.distance(jnp.float32(3.0), jnp.float32(2.0))) == 1.5
  assert float(made.steepness(jnp.float32(2.0))) == 2.0
  assert float(made.steepness(jnp.float32(0.5))) == 1.0
  by_channel = wgan.make(norm='channel')
  assert float(by_channel.steepness(jnp.float32(2.0))) == 1.0
  np.testing.assert_allclose(made.generator_loss(jnp.array([1.0, 2.0])), -1.5)

"""Latents moved by critics: closed forms, members, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.networks import latent_transport

# Two latents to two numbers, scaled; a critic of one slope everywhere, and one
# whose value is minus half the squared distance to a point.
SCALED = types.Network(lambda key: {}, lambda params, z: params * z)
LINEAR = types.Network(lambda key: {}, lambda params, x: x @ params)
BOWL = types.Network(
  lambda key: {}, lambda point, x: -0.5 * jnp.sum((x - point[None]) ** 2, -1)
)
SLOPE = np.array([0.6, 0.8], np.float32)
Z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)


def moved(critic, critic_params, z=Z, scale=2.0, **settings):
  return latent_transport.move(
    SCALED, critic, jnp.float32(scale), critic_params, z,
    latent_transport.Config(**settings),
  )  # fmt: skip


def test_without_a_pull_latents_climb_the_critic():
  # The slope in the latents is that of the critic times the scale.
  found = moved(LINEAR, SLOPE, steps=4, rate=0.25, pull=0.0)
  np.testing.assert_allclose(found, Z + 4 * 0.25 * 2.0 * SLOPE[None], rtol=1e-5)


def test_steps_are_those_of_gradient_ascent():
  # No pull at the start, where nothing has moved; from then on it has length
  # one, back along the way.
  found = moved(LINEAR, SLOPE, steps=3, rate=0.1, pull=0.5)
  way = 0.1 * 2.0 + 2 * 0.1 * (2.0 - 0.5)
  np.testing.assert_allclose(found, Z + way * SLOPE[None], rtol=1e-5)


def test_the_ascent_ends_where_the_pull_equals_the_slope():
  # On the ray to the point, rho before it: |x - point| = rho for scale 1.
  point = np.array([3.0, 4.0], np.float32)
  z = np.zeros((1, 2), np.float32)
  found = moved(BOWL, point, z, scale=1.0, steps=100, rate=0.2, pull=2.0)
  np.testing.assert_allclose(found[0], 0.6 * point, rtol=1e-3)
  # A pull above the slope of five holds them, to the length of a step.
  held = moved(BOWL, point, z, scale=1.0, steps=100, rate=1e-3, pull=6.0)
  assert np.linalg.norm(held) < 1e-3 * (5.0 + 6.0)


def test_batches_and_members_are_moved_as_each_sample_alone():
  config = latent_transport.Config(steps=3)

  def one(scale, slope, z):
    return latent_transport.move(SCALED, LINEAR, scale, slope, z, config)

  scales, slopes = jnp.array([1.0, 2.0]), jnp.stack([SLOPE, -3.0 * SLOPE])
  together = jax.jit(jax.vmap(one, (0, 0, None)))(scales, slopes, Z)
  for s in range(2):
    # Along the critic's slope, since samples are not coupled.
    way = np.asarray(together[s]) - Z
    unit = SLOPE * (1, -1)[s]
    np.testing.assert_allclose(
      way, (way @ unit)[:, None] * unit[None], atol=1e-5
    )
    steep = (1.0, 6.0)[s]
    expected = 0.1 * steep + 2 * 0.1 * (steep - 1.0)
    np.testing.assert_allclose(way @ unit, expected, rtol=1e-3, atol=1e-3)


def test_a_sample_without_a_finite_slope_stays_and_others_move():
  root = types.Network(lambda key: {}, lambda p, x: jnp.sqrt(x[:, 0]))
  z = np.array([[-1.0, 2.0], [4.0, 1.0]], np.float32)
  found = moved(root, None, z, scale=1.0, steps=1, rate=1.0, pull=0.0)
  np.testing.assert_array_equal(found[0], z[0])
  np.testing.assert_allclose(found[1], [4.25, 1.0], rtol=1e-6)


def test_defaults_are_ten_steps_of_a_tenth():
  default = moved(LINEAR, SLOPE)
  same = moved(LINEAR, SLOPE, steps=10, rate=0.1, pull=1.0)
  np.testing.assert_array_equal(default, same)


@pytest.mark.parametrize(
  'settings,message',
  [
    ({'steps': 0}, 'steps 0 '),
    ({'rate': 0.0}, 'rate 0.0 '),
    ({'rate': float('nan')}, 'rate nan '),
    ({'pull': -0.1}, 'pull -0.1 '),
    ({'pull': float('nan')}, 'pull nan '),
  ],
)
def test_bad_settings_are_refused(settings, message):
  latent_transport.Config(steps=1, rate=1e-9, pull=0.0)
  with pytest.raises(ValueError, match=message):
    latent_transport.Config(**settings)


def test_a_critic_of_patches_counts_as_the_mean_of_its_scores():
  def patches(params, x):
    return jnp.stack([x @ params, 3.0 * (x @ params)], 1)

  several = types.Network(lambda key: {}, patches)
  found = moved(several, SLOPE, steps=3, rate=0.1, pull=0.5)
  expected = moved(LINEAR, 2.0 * SLOPE, steps=3, rate=0.1, pull=0.5)
  np.testing.assert_allclose(found, expected, rtol=1e-5)

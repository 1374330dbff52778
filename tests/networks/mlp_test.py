"""Perceptrons: paths that may be left out, distances to learned centres."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.networks import registry

KEY = jax.random.key(0)


@pytest.mark.parametrize('dimension', [2, 64])
def test_the_last_layer_reads_distances_to_the_centres(dimension):
  critic = registry.critic(
    'mlp', data_shape=(dimension,), hidden=(8,), centers=3
  )
  params = critic.init(KEY)
  assert params['centers'].shape == (3, dimension)
  assert params['head']['kernel'].shape == (8 + 3, 1)
  head = jnp.zeros((11, 1)).at[9, 0].set(-1.0)
  params['head'] = {'kernel': head, 'bias': jnp.ones(1)}
  x = jax.random.normal(jax.random.key(1), (20, dimension))
  away = np.linalg.norm(x - params['centers'][1][None], axis=1)
  np.testing.assert_allclose(critic.apply(params, x), 1.0 - away, rtol=1e-4)
  # At a centre the slope is bounded, not a division by zero.
  slope = jax.grad(lambda v: critic.apply(params, v[None])[0])
  assert np.all(np.isfinite(slope(params['centers'][1])))


def test_without_centres_a_critic_is_a_plain_perceptron():
  critic = registry.critic('mlp', data_shape=(4,), hidden=(8,))
  assert sorted(critic.init(KEY)) == ['dense_0', 'head']


def test_without_its_affine_path_a_generator_is_a_plain_perceptron():
  made = registry.generator(
    'mlp', latent_size=3, data_shape=(2,), hidden=(8,), affine=False
  )
  params = made.init(KEY)
  assert sorted(params) == ['dense_0', 'out']
  params['out'] = jax.tree.map(jnp.zeros_like, params['out'])
  np.testing.assert_array_equal(made.apply(params, jnp.ones((5, 3))), 0.0)


@pytest.mark.parametrize('centers', [-1, 1.5, True, 1 << 20])
def test_bad_numbers_of_centres_are_refused(centers):
  with pytest.raises(ValueError, match='width'):
    registry.critic('mlp', data_shape=(2,), centers=centers)


def test_a_bad_affine_switch_is_refused():
  with pytest.raises(ValueError, match='affine'):
    registry.generator('mlp', latent_size=2, data_shape=(2,), affine=1)

"""Perceptrons against NumPy; paths that may be left out, learned centres."""

import jax
import numpy as np
import pytest

from coalesce_jax.networks import registry

RNG = np.random.default_rng(0)
ACTIVATIONS = {
  'relu': lambda x: np.maximum(x, 0.0),
  'leaky_relu': lambda x: np.maximum(x, 0.2 * x),
  'tanh': np.tanh,
}


def drawn(network):
  """Parameters drawn by NumPy, none of them zero."""
  shapes = jax.eval_shape(network.init, jax.random.key(0))
  return jax.tree.map(
    lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), shapes
  )


def dense(leaf, x):
  return x @ leaf['kernel'] + leaf['bias']


def perceptron(params, x, activation, layers=2):
  for i in range(layers):
    x = ACTIVATIONS[activation](dense(params[f'dense_{i}'], x))
  return x


def latents(n=5, size=3):
  return RNG.normal(size=(n, size)).astype(np.float32)


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_a_generator_is_a_perceptron_and_an_affine_map(activation):
  made = registry.generator(
    'mlp', latent_size=3, data_shape=(2, 1, 3), hidden=(8, 4),
    activation=activation,
  )  # fmt: skip
  params, z = drawn(made), latents()
  x = perceptron(params, z, activation)
  expected = dense(params['out'], x) + dense(params['affine'], z)
  found = jax.jit(made.apply)(params, z)
  np.testing.assert_allclose(found, expected.reshape(5, 2, 1, 3), rtol=1e-4)


def test_a_generator_may_end_in_a_tangent_and_lack_its_affine_map():
  made = registry.generator(
    'mlp', latent_size=3, data_shape=(2,), hidden=(), output='tanh',
    affine=False,
  )  # fmt: skip
  params, z = drawn(made), latents()
  assert sorted(params) == ['out']
  found = jax.jit(made.apply)(params, z)
  np.testing.assert_allclose(found, np.tanh(dense(params['out'], z)), rtol=1e-4)


def test_a_critic_is_a_perceptron_of_the_flattened_sample():
  made = registry.critic(
    'mlp', data_shape=(2, 3), hidden=(8,), activation='leaky_relu'
  )
  params, x = drawn(made), latents(5, 6)
  assert sorted(params) == ['dense_0', 'head']
  expected = dense(params['head'], perceptron(params, x, 'leaky_relu', 1))
  found = jax.jit(made.apply)(params, x.reshape(5, 2, 3))
  np.testing.assert_allclose(found, expected[:, 0], rtol=1e-4)


@pytest.mark.parametrize('dimension', [2, 64])
def test_the_last_layer_reads_distances_to_the_centres(dimension):
  made = registry.critic('mlp', data_shape=(dimension,), hidden=(8,), centers=3)
  params, x = drawn(made), latents(20, dimension)
  assert params['centers'].shape == (3, dimension)
  gap = np.linalg.norm(x[:, None] - params['centers'], axis=-1)
  read = np.concatenate([perceptron(params, x, 'relu', 1), gap], 1)
  x = np.concatenate([x, params['centers']])

  @jax.jit
  def both(x):
    slope = jax.grad(lambda x: made.apply(params, x).sum())
    return made.apply(params, x), slope(x)

  found, slope = both(x)
  expected = dense(params['head'], read)[:, 0]
  np.testing.assert_allclose(found[:20], expected, rtol=1e-3, atol=1e-3)
  # At a centre the slope is bounded, not a division by zero.
  assert np.all(np.isfinite(slope))


def test_parameters_start_so_that_the_affine_map_leads():
  made = registry.generator(
    'mlp', latent_size=64, data_shape=(64,), hidden=(64,)
  )
  critic = registry.critic('mlp', data_shape=(64,), hidden=(64,), centers=64)

  @jax.jit
  def init(key):
    return made.init(key), critic.init(key)

  one, other = init(jax.random.key(0))
  # Of 4,096 numbers each; the last of 128.
  for leaf, variance in (
    (one['dense_0'], 2.0), (one['out'], 0.01), (one['affine'], 1.0)
  ):  # fmt: skip
    assert 64 * leaf['kernel'].var() == pytest.approx(variance, rel=0.1)
  assert other['centers'].var() == pytest.approx(1.0, rel=0.1)
  assert 128 * other['head']['kernel'].var() == pytest.approx(1.0, rel=0.5)


@pytest.mark.parametrize('centers', [-1, 1.5, True, 1 << 20])
def test_bad_numbers_of_centres_are_refused(centers):
  with pytest.raises(ValueError, match='width'):
    registry.critic('mlp', data_shape=(2,), centers=centers)


def test_a_bad_affine_switch_is_refused():
  with pytest.raises(ValueError, match='affine'):
    registry.generator('mlp', latent_size=2, data_shape=(2,), affine=1)

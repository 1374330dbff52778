"""Specs that rebuild their networks, and generators that sample."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.models import generator

LINEAR = generator.Spec(
  network='mlp',
  latent_size=3,
  image_shape=(2,),
  options=generator.freeze({'hidden': ()}),
  critic='mlp',
  critic_options=generator.freeze({'hidden': (4,)}),
)
IMAGES = generator.Spec(
  network='dcgan',
  latent_size=5,
  image_shape=(8, 8, 1),
  options=generator.freeze({'width': 4}),
)
MATRIX = np.array([[1.0, 0.0], [0.0, 2.0], [0.5, -1.0]], np.float32)
SHIFT = np.array([3.0, -1.0], np.float32)


def affine() -> generator.Generator:
  """The generator z -> z A + b."""
  params = LINEAR.build().init(jax.random.key(0))
  params = jax.tree.map(jnp.zeros_like, params)
  params['affine'] = {'kernel': jnp.asarray(MATRIX), 'bias': jnp.asarray(SHIFT)}
  return generator.create(LINEAR, params)


def initial(spec: generator.Spec) -> generator.Generator:
  """A generator that is not trained."""
  return generator.create(spec, spec.build().init(jax.random.key(1)))


def test_samples_of_an_affine_generator_have_its_mean_and_covariance():
  x = np.asarray(affine().sample(jax.random.key(2), 40_000), np.float64)
  # Standard errors: below 0.012 of a mean, 0.04 of a covariance.
  np.testing.assert_allclose(x.mean(0), SHIFT, atol=0.05)
  np.testing.assert_allclose(np.cov(x.T), MATRIX.T @ MATRIX, atol=0.15)


def test_samples_are_the_network_at_standard_normal_latents():
  key = jax.random.key(3)
  z = np.asarray(jax.random.normal(key, (6, 3)))
  np.testing.assert_allclose(
    affine().sample(key, 6), z @ MATRIX + SHIFT, rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize('batch', [1, 3, 7, 500])
def test_the_batch_does_not_change_the_samples(batch):
  gen = initial(IMAGES)
  key = jax.random.key(4)
  whole = gen.sample(key, 7)
  assert whole.shape == (7, 8, 8, 1)
  np.testing.assert_allclose(
    gen.sample(key, 7, batch=batch), whole, rtol=1e-5, atol=1e-6
  )


def test_the_same_key_draws_the_same_samples_and_another_does_not():
  gen = initial(IMAGES)
  first = gen.sample(jax.random.key(5), 2)
  np.testing.assert_array_equal(first, gen.sample(jax.random.key(5), 2))
  assert (first != gen.sample(jax.random.key(6), 2)).any()


def test_images_lie_between_minus_one_and_one():
  x = initial(IMAGES).sample(jax.random.key(7), 20)
  assert x.dtype == jnp.float32
  assert (jnp.abs(x) <= 1.0).all()


def test_batches_and_calls_share_one_compilation():
  apply = chex.assert_max_traces(lambda params, z: z * params, n=1)
  network = types.Network(lambda key: jnp.ones(()), apply)
  gen = generator.Generator(network, jnp.ones(()), LINEAR)
  for seed in range(3):
    gen.sample(jax.random.key(seed), 7, batch=3)


def test_equal_specs_build_one_network():
  assert dataclasses.replace(LINEAR).build() is LINEAR.build()
  assert dataclasses.replace(LINEAR).build_critic() is LINEAR.build_critic()


def test_options_freeze_in_any_order():
  pairs = (('a', 1), ('b', 2))
  assert generator.freeze({'b': 2, 'a': 1}) == pairs
  assert generator.freeze({'a': 1, 'b': 2}) == pairs


def test_the_critic_scores_one_number_a_sample():
  critic = LINEAR.build_critic()
  params = critic.init(jax.random.key(8))
  assert critic.apply(params, jnp.zeros((9, 2))).shape == (9,)


def test_a_spec_without_a_critic_builds_none():
  with pytest.raises(ValueError, match='without a critic'):
    IMAGES.build_critic()


@pytest.mark.parametrize('n', [0, -3])
def test_fewer_than_one_sample_is_an_error(n):
  with pytest.raises(ValueError, match=f'cannot draw {n} samples'):
    affine().sample(jax.random.key(0), n)


@pytest.mark.parametrize('size', [0, 100_000])
def test_a_latent_size_out_of_bounds_is_an_error(size):
  with pytest.raises(ValueError, match=f'latent_size {size} is not in'):
    dataclasses.replace(LINEAR, latent_size=size)


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('network', 'nope', "network 'nope' is not one of"),
    ('options', (('hiden', (4,)),), "does not take the options ..hiden'"),
    ('options', (('hidden', (-4,)),), 'width -4'),
  ],
)
def test_a_spec_that_names_no_network_does_not_build(field, value, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(LINEAR, **{field: value}).build()

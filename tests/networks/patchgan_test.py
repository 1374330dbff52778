"""PatchGAN against the same network by XLA's convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.networks import registry
from coalesce_jax.parallel import batch_shards
from tests.networks import translation_references as references
from tests.networks import translators_test as translators

KEY = jax.random.key(0)


@pytest.mark.parametrize(
  'n_layers,norm,channels,scores',
  [(1, 'instance', 2, (4, 8)), (2, 'none', 5, (1, 3)), (1, 'group', 1, (4, 8))],
)
def test_the_critic_is_the_published_one(n_layers, norm, channels, scores):
  critic = registry.critic(
    'patchgan',
    data_shape=(12, 20, channels),
    width=2,
    n_layers=n_layers,
    norm=norm,
  )
  params = translators.drawn(critic)
  x = translators.images(2, 12, 20, channels)

  @jax.jit
  def both(params, x):
    with jax.numpy_rank_promotion('allow'):
      expected = references.patchgan(params, x, norm)
    return critic.apply(params, x), expected

  found, expected = both(params, x)
  assert found.shape == (2, *scores)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_size_is_that_of_the_published_critic():
  critic = registry.critic('patchgan', data_shape=(64, 64, 6), n_layers=2)
  params = jax.eval_shape(critic.init, KEY)
  weights = 16 * (6 * 64 + 64 * 128 + 128 * 256 + 256)
  # Biases of the first and the last layer, scales and shifts of the others.
  assert trees.count(params) == weights + 64 + 1 + 2 * (128 + 256)
  assert trees.count(params) / 1e6 == pytest.approx(0.67, rel=0.01)
  x = jax.ShapeDtypeStruct((1, 64, 64, 6), jnp.float32)
  macs = 16 * (
    32**2 * 6 * 64 + 16**2 * 64 * 128 + 15**2 * 128 * 256 + 15**2 * 256
  )
  assert jax.eval_shape(critic.apply, params, x).shape == (1, 14, 14)
  assert translators.products(critic, params, x) == macs


def test_a_score_sees_its_patch_and_nothing_else():
  critic = registry.critic(
    'patchgan', data_shape=(48, 12, 1), width=1, n_layers=1, norm='none'
  )
  params = translators.drawn(critic)
  x = translators.images(1, 48, 12, 1)
  gradient = jax.jit(
    jax.grad(lambda x: critic.apply(params, x)[0, 10, 2])
  )(x)  # fmt: skip
  (rows,) = np.nonzero(np.abs(gradient[0, :, :, 0]).max(1))
  # 16 pixels for one layer; the first patch begins 5 before the image.
  assert (rows[0], rows[-1]) == (2 * 10 - 5, 2 * 10 + 10)


def test_a_batch_norm_needs_the_whole_batch():
  critic = registry.critic(
    'patchgan', data_shape=(6, 6, 1), width=1, n_layers=1, norm='batch'
  )
  params = translators.drawn(critic)
  x = jnp.ones((2, 6, 6, 1))
  assert jax.eval_shape(critic.apply, params, x).shape == (2, 1, 1)
  with batch_shards.split(2), pytest.raises(ValueError, match='one device'):
    jax.eval_shape(lambda x: critic.apply(params, x), x)


@pytest.mark.parametrize(
  'shape,options,message',
  [
    ((64, 64), {}, 'scores images'),
    ((64, 64, 65), {}, 'at most 64 channels'),
    ((64, 11, 3), {'n_layers': 2}, 'at least 12 pixels'),
    ((95, 96, 3), {'n_layers': 5}, 'at least 96 pixels'),
    ((64, 64, 3), {'n_layers': 0}, r'n_layers 0 is not in \[1, 5\]'),
    ((512, 512, 3), {'n_layers': 6}, 'n_layers 6'),
    ((64, 64, 3), {'norm': 'pixel'}, 'norm'),
    ((64, 64, 3), {'width': 5000}, 'width'),
    ((64, 64, 3), {'depth': 2}, 'does not take'),
  ],
)
def test_bad_options_are_refused(shape, options, message):
  with pytest.raises(ValueError, match=message):
    registry.critic('patchgan', data_shape=shape, **options)


def test_the_smallest_images_have_one_score():
  for n_layers in range(1, 6):
    side = 3 * 2**n_layers
    critic = registry.critic(
      'patchgan', data_shape=(side, side, 1), width=1, n_layers=n_layers
    )
    shape = jax.eval_shape(
      lambda key, critic=critic, side=side: critic.apply(
        critic.init(key), jnp.ones((1, side, side, 1))
      ),
      KEY,
    ).shape
    assert shape == (1, 1, 1)

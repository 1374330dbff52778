"""Sources: what they draw, how often, and from which latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.parallel import batch_shards
from tests import small

KEY = jax.random.key(0)
SHIFT = types.Network(None, lambda params, z: z + params[None])


def test_latents_are_standard_normal():
  z = np.asarray(sources.draw_one(sources.normal(2), KEY, 20000))
  assert z.shape == (20000, 2)
  np.testing.assert_allclose(z.mean(0), 0.0, atol=0.04)
  np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.05)


def test_rows_are_drawn_uniformly_and_padding_never():
  source = sources.array(jnp.arange(8)[:, None], size=5)
  drawn = np.asarray(sources.draw((source,), KEY, 10000))[0, :, 0]
  counts = np.bincount(drawn.astype(int), minlength=8) / 10000
  np.testing.assert_allclose(counts[:5], 0.2, atol=0.02)
  assert not counts[5:].any()


def test_8_bit_rows_come_as_numbers_between_minus_one_and_one():
  source = sources.array(jnp.array([[0, 255]], jnp.uint8))
  np.testing.assert_array_equal(sources.draw((source,), KEY, 1), [[[-1, 1]]])


def test_every_generator_has_latents_of_its_own():
  params = jnp.array([[0.0, 0.0], [100.0, 100.0]])
  source = sources.generators(SHIFT, params, 2)
  drawn = np.asarray(sources.draw((source,), KEY, 1000))
  assert drawn.shape == (2, 1000, 2) and source.count == 2
  np.testing.assert_allclose(drawn.mean((1, 2)), [0.0, 100.0], atol=0.1)
  assert not np.allclose(drawn[0], drawn[1] - 100.0, atol=1e-3)
  shared = sources.draw((source,), KEY, 3, jnp.ones((3, 2)))
  np.testing.assert_array_equal(shared[:, :, 0].T, [[1.0, 101.0]] * 3)


@pytest.mark.parametrize('kind', ['mixture', 'pooled'])
def test_mixtures_draw_with_their_probabilities(kind):
  params = 10.0 * jnp.arange(3.0)[:, None]
  weights = jnp.array([0.5, 0.3, 0.2])
  if kind == 'mixture':
    source = sources.mixture(SHIFT, params, weights, 1)
  else:
    parts = [sources.generators(SHIFT, params[:2], 1),
             sources.generators(SHIFT, params[2:], 1)]  # fmt: skip
    source = sources.pooled(parts, weights)
  drawn = np.asarray(sources.draw((source,), KEY, 10000))
  assert drawn.shape == (1, 10000, 1) and source.count == 1
  found = np.bincount(
    np.rint(drawn.ravel() / 10).astype(int).clip(0), minlength=3
  )
  np.testing.assert_allclose(found / 10000, weights, atol=0.02)


def test_fixed_samples_are_drawn_once_in_8_bits():
  source = sources.generators(SHIFT, jnp.zeros((2, 1)), 1)
  parts = sources.fixed((source,), KEY, 30, batch=8)
  assert len(parts) == 2
  for part in parts:
    drawn = np.asarray(sources.draw((part,), KEY, 2000))
    levels = (drawn + 1.0) * 127.5
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    assert 10 < len(np.unique(drawn)) <= 30 and np.abs(drawn).max() <= 1.0


def test_priors_of_several_things_are_drawn_together_by_name():
  prior = sources.together(
    {'z': sources.normal(3), 'x': sources.array(jnp.ones((4, 2)))}
  )
  drawn = sources.draw_one(prior, KEY, 5)
  assert drawn['z'].shape == (5, 3) and drawn['x'].shape == (5, 2)
  assert np.asarray(drawn['x']).min() == 1.0 and np.std(drawn['z']) > 0.5


def test_sources_of_unlike_samples_are_refused():
  parts = [sources.array(jnp.ones((4, n))) for n in (2, 3)]
  with pytest.raises(AssertionError, match='unlike samples'):
    sources.draw(parts, KEY, 5)


def test_only_sources_of_the_latent_size_read_shared_latents():
  network = small.VECTORS.build()
  params = jax.tree.map(lambda x: x[None], network.init(jax.random.key(3)))
  parts = (
    sources.generators(network, params, 2),
    sources.array(jnp.arange(10.0)[:, None] * jnp.ones((1, 2))),
  )
  key, z = jax.random.key(1), jax.random.normal(jax.random.key(2), (5, 2))
  alone, shared = sources.draw(parts, key, 5), sources.draw(parts, key, 5, z)
  own = network.apply(jax.tree.map(lambda x: x[0], params), z)
  np.testing.assert_allclose(shared[0], own, rtol=1e-5)
  np.testing.assert_array_equal(shared[1], alone[1])
  other = sources.draw(parts, key, 5, jnp.zeros((5, 3)))
  np.testing.assert_array_equal(other, alone)


def test_random_keys_are_one_for_each_sample():
  source = sources.random_keys()
  drawn = np.asarray(sources.draw_one(source, KEY, 4096))
  assert drawn.shape == (4096, 2) and drawn.dtype == np.uint32
  assert len(np.unique(drawn, axis=0)) == 4096
  # Every bit is set in half of them: five standard errors.
  bits = np.unpackbits(drawn.view(np.uint8), axis=1)
  assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / 64
  other = sources.draw_one(source, jax.random.key(1), 4096)
  assert (drawn != other).any()
  with batch_shards.split(2):
    shards = jax.vmap(
      lambda _: sources.draw_one(source, KEY, 2), axis_name=batch_shards.AXIS
    )(jnp.arange(2))
  # Shard i has samples i, i + 2 and so on of the whole batch.
  whole = sources.draw_one(source, KEY, 4)
  np.testing.assert_array_equal(shards, [whole[::2], whole[1::2]])

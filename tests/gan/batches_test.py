"""What a step draws: how many of what, and who reads which."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.gan import batches
from coalesce_jax.gan import game
from coalesce_jax.gan import sources

KEY = jax.random.key(0)


def counting(data, key, n):
  """A source whose samples say how many were asked for together."""
  return jnp.full((1, n, 1), float(n)) + data


def asked(**settings):
  config = game.Config(batch_size=4, critic_steps=3, **settings)
  latents = jnp.arange(12.0).reshape(3, 4, 1)
  source = sources.Source(jnp.float32(0.0), counting)
  return batches.real(config, (source,), KEY, latents)


def test_every_critic_update_has_samples_of_its_own():
  real = asked()
  assert real.shape == (3, 1, 4, 1)
  assert np.unique(real).tolist() == [12.0]


def test_a_reused_batch_is_drawn_once_and_serves_all_critic_updates():
  real = asked(reuse_batch=True)
  assert real.shape == (3, 1, 4, 1)
  assert np.unique(real).tolist() == [4.0]
  config = game.Config(batch_size=4, critic_steps=3, reuse_batch=True)
  rows = sources.array(jnp.arange(1000.0)[:, None])
  drawn = batches.real(config, (rows,), KEY, None)
  np.testing.assert_array_equal(drawn[0], drawn[1])
  np.testing.assert_array_equal(drawn[0], drawn[2])
  assert len(np.unique(drawn)) == 4


def test_paired_sources_read_the_latents_of_their_critic_update():
  config = game.Config(batch_size=4, critic_steps=3, paired=True)
  pushed = sources.Source(
    0.0, counting, push=lambda data, z: 10.0 * z[None], latent_size=1
  )
  latents = jnp.arange(12.0).reshape(3, 4, 1)
  real = batches.real(config, (pushed,), KEY, latents)
  np.testing.assert_array_equal(real[:, 0], 10.0 * latents)
  alone = batches.real(
    game.Config(batch_size=4, critic_steps=3), (pushed,), KEY, latents
  )
  assert np.unique(alone).tolist() == [12.0]


def test_the_prior_is_drawn_once_for_critics_and_generator():
  config = game.Config(batch_size=4, critic_steps=3, generator_batches=2)
  source = sources.array({'x': jnp.arange(999.0), 'y': -jnp.arange(999.0)})
  critics, own = batches.prior(config, source, KEY)
  assert critics['x'].shape == (3, 4) and own['x'].shape == (8,)
  # Rows of a pair stay together, and hardly any is drawn twice.
  np.testing.assert_array_equal(critics['x'], -critics['y'])
  every = np.concatenate([critics['x'].ravel(), own['x']])
  assert len(np.unique(every)) > 18
  joined = batches.flat(critics)
  np.testing.assert_array_equal(joined['x'], critics['x'].ravel())


def test_fakes_are_split_by_critic_updates():
  fakes = jnp.arange(12.0).reshape(6, 2)
  apart = batches.by_round(fakes, 3, True)
  np.testing.assert_array_equal(apart, fakes.reshape(3, 2, 2))
  own = jnp.stack([fakes, 100.0 + fakes])
  apart = batches.by_round(own, 3, False)
  assert apart.shape == (3, 2, 2, 2)
  np.testing.assert_array_equal(apart[:, 1], 100.0 + fakes.reshape(3, 2, 2))


def test_fakes_of_the_rank_of_all_critics_samples_are_their_own():
  given = game.inputs(
    (sources.array(jnp.zeros((5, 3))),), prior=sources.normal(2)
  )
  one = jax.ShapeDtypeStruct((1, 3), jnp.float32)
  many = jax.ShapeDtypeStruct((1, 1, 3), jnp.float32)
  assert not batches.own_fakes(one, given) and batches.own_fakes(many, given)


def test_every_step_and_every_purpose_has_random_numbers_of_its_own():
  found = [
    jax.random.key_data(k).tobytes()
    for step in range(3)
    for k in batches.keys(KEY, jnp.int32(step))
  ]
  assert len(set(found)) == len(found) == 24

"""Buffers: what the critics see of earlier fakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import buffers
from coalesce_jax.parallel import batch_shards

ONE = jax.ShapeDtypeStruct((1,), jnp.float32)


def run(size, count):
  """Shows a pool the fakes 0, 1, 2, ...; what it returned and kept."""
  pool = buffers.pool(size)
  fakes = jnp.arange(float(count))[:, None]
  state, seen = jax.jit(pool.exchange)(pool.init(ONE), fakes, jax.random.key(1))
  return np.asarray(seen[:, 0]), state


def test_a_pool_takes_the_first_fakes_and_returns_them():
  seen, state = run(4, 3)
  np.testing.assert_array_equal(seen, [0, 1, 2])
  np.testing.assert_array_equal(state['images'][:3, 0], [0, 1, 2])
  assert int(state['count']) == 3


def test_a_full_pool_returns_half_of_the_fakes_and_loses_no_image():
  seen, state = run(5, 2005)
  new = seen[5:] == np.arange(5, 2005)
  # Five standard errors of a fair coin.
  assert abs(new.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)
  # What is swapped out is an earlier fake, of any age, each seen only once.
  old = seen[5:][~new]
  assert np.all(old < np.arange(5, 2005)[~new])
  kept = np.asarray(state['images'][:, 0])
  every = np.concatenate([seen[5:], kept])
  assert sorted(every) == list(range(2005)) and int(state['count']) == 5


def test_every_critic_with_fakes_of_its_own_has_a_pool():
  pool = buffers.pool(2)
  fakes = jnp.arange(6.0).reshape(2, 3, 1)
  state = buffers.start(pool, fakes, True)
  assert state['images'].shape == (2, 2, 1)
  after, seen = buffers.exchange(pool, state, fakes, jax.random.key(0), False)
  assert seen.shape == fakes.shape and after['count'].tolist() == [2, 2]
  assert set(np.ravel(after['images'][1])) <= {3.0, 4.0, 5.0}
  shared = buffers.start(pool, fakes[0], False)
  after, seen = buffers.exchange(
    pool, shared, fakes[0], jax.random.key(0), True
  )
  assert after['images'].shape == (2, 1) and seen.shape == (3, 1)


def test_without_a_buffer_the_critics_see_the_fakes():
  none, fakes = buffers.none(), jnp.ones((3, 1))
  state, seen = none.exchange(none.init(ONE), fakes, jax.random.key(0))
  assert state == () and seen is fakes


def test_pools_that_cannot_be_are_refused():
  with pytest.raises(ValueError, match='a pool of 0'):
    buffers.pool(0)
  pool = buffers.pool(2)
  with batch_shards.split(2), pytest.raises(ValueError, match='one device'):
    pool.exchange(pool.init(ONE), jnp.ones((2, 1)), jax.random.key(0))

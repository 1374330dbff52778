"""Pixels as numbers."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.data import pixels


def test_bytes_fill_the_interval_evenly():
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  found = pixels.decode(jnp.asarray(levels))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(
    found.reshape(-1), np.linspace(-1.0, 1.0, 256), atol=1e-6
  )
  assert float(found.min()) == -1.0 and float(found.max()) == 1.0


def test_numbers_stay_as_they_are_also_when_decoded_twice():
  x = jnp.array([[-1.0, 0.25, 7.0]])
  assert pixels.decode(x) is x
  once = pixels.decode(jnp.array([3, 200], jnp.uint8))
  np.testing.assert_array_equal(pixels.decode(once), once)


def test_images_of_a_batch_are_decoded_as_each_alone():
  images = jnp.arange(12, dtype=jnp.uint8).reshape(3, 2, 2)
  together = jax.vmap(pixels.decode)(images)
  np.testing.assert_array_equal(together, pixels.decode(images))

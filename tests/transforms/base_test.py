"""Transforms compose and attach."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.transforms import base
from tests import small

DOUBLE = base.Transform(
  lambda key, params: jax.tree.map(lambda x: x / 2.0, params),
  lambda latent: jax.tree.map(lambda x: x * 2.0, latent),
)
SHIFT = base.Transform(
  lambda key, params: jax.tree.map(lambda x: x - 1.0, params),
  lambda latent: jax.tree.map(lambda x: x + 1.0, latent),
)


def test_an_attached_network_is_the_network_of_the_applied_parameters():
  network = small.VECTORS.build()
  attached = base.attach(network, DOUBLE)
  latent = attached.init(jax.random.key(0))
  z = jnp.ones((3, 2))
  np.testing.assert_array_equal(
    attached.apply(latent, z), network.apply(DOUBLE.apply(latent), z)
  )


def test_composition_applies_the_inner_first_and_inverts():
  both = base.compose(DOUBLE, SHIFT)
  latent = both.init(jax.random.key(0), {'w': jnp.array([6.0])})
  np.testing.assert_allclose(latent['w'], 2.0)
  np.testing.assert_allclose(both.apply(latent)['w'], 6.0)


def test_identity_changes_nothing():
  params = {'w': jnp.arange(3.0)}
  same = base.compose(base.identity(), base.identity())
  latent = same.init(jax.random.key(0), params)
  np.testing.assert_array_equal(same.apply(latent)['w'], params['w'])

"""Norms of a network that leave out channels, by name."""

import jax
import numpy as np

from coalesce_jax.networks import masking
from coalesce_jax.networks import registry

DCGAN = registry.generator(
  'dcgan', latent_size=3, data_shape=(8, 8, 1), width=2
)


def test_only_the_named_norms_leave_out_channels():
  params = DCGAN.init(jax.random.key(0))
  z = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
  apply = jax.jit(masking.with_kept(DCGAN).apply)
  plain = jax.jit(DCGAN.apply)(params, z)
  found = apply({'base': params, 'kept': {}}, z)
  np.testing.assert_allclose(found, plain, atol=1e-6)
  found = apply({'base': params, 'kept': {'norm_1': np.ones(2)}}, z)
  np.testing.assert_allclose(found, plain, atol=1e-6)
  found = apply({'base': params, 'kept': {'norm_1': np.float32([1, 0])}}, z)
  assert np.abs(found - plain).max() > 1e-3

"""A layer of random weights and its ternary copy."""

import jax
import jax.numpy as jnp

from coalesce_jax.transforms import ternary

KEY = jax.random.key(0)


def weights(shape=(4, 4, 8, 5), scale=0.1):
  return {
    'layer': {'kernel': scale * jax.random.normal(KEY, shape), 'bias': jnp.ones(5)}  # noqa: E501
  }  # fmt: skip


def made(scheme, granularity, params=None, **settings):
  reparam = ternary.ternary(scheme=scheme, granularity=granularity, **settings)
  params = weights() if params is None else params
  latent, frozen = reparam.init(KEY, params)
  assert not jax.tree.leaves(frozen)
  return reparam, latent

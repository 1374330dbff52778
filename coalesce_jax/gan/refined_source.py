"""Draws from frozen generators and moves the samples by their own critics.

The samples are moved by discriminator optimal transport (DOT), see
`networks.latent_transport`.

Shapes: K generators of one architecture, Z latent, N samples.
"""

import functools
from typing import Any

import jax

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.networks import latent_transport
from coalesce_jax.parallel import batch_shards

Config = latent_transport.Config
move = latent_transport.move


def generators(
  generator: types.Network,
  critic: types.Network,
  params: types.Params,
  critic_params: types.Params,
  latent_size: int,
  config: Config,
) -> sources.Source:
  """Returns a source of samples from K frozen generators, moved by DOT.

  Args:
    generator: the network that all K generators share.
    critic: the network that their critics share.
    params: parameters of the generators, stacked along a leading axis K.
    critic_params: parameters of the critics, stacked along K.
    latent_size: Z.
    config: settings of DOT.
  """
  return sources.Source(
    {'generators': params, 'critics': critic_params},
    _draw(generator, critic, latent_size, config),
    jax.tree.leaves(params)[0].shape[0],
  )


@functools.lru_cache(maxsize=64)
def _draw(generator, critic, latent_size, config):
  def one(params: Any, critic_params: Any, z: jax.Array) -> jax.Array:
    moved = move(generator, critic, params, critic_params, z, config)
    return generator.apply(params, moved)

  def draw(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
    count = jax.tree.leaves(data['generators'])[0].shape[0]
    z = batch_shards.rows(
      lambda n: jax.random.normal(key, (count, n, latent_size)), n, 1
    )
    return jax.vmap(one)(data['generators'], data['critics'], z)

  return draw

"""Samples of generators, moved by the critics that they came with.

What moves them is `networks.transport`.

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
  """Refined samples from K frozen generators, as `sources.generators`.

  Args:
    generator: the network of all.
    critic: that of their critics.
    params: stacked along a leading axis K.
    critic_params: likewise.
    latent_size: Z.
    config: settings.
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

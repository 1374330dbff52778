"""Defines sources of samples: real samples, and what a generator starts from.

A source is a pytree of arrays and a static draw function. It can be an argument
of a compiled step, and its arrays can have a leading axis of replicas. One
source may feed several critics (its `count`).

Shapes: K critics or generators, B batch, N samples of a data set, Z latent.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.parallel import batch_shards


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=['data'],
  meta_fields=['draw', 'count', 'push', 'latent_size'],
)
@dataclasses.dataclass(frozen=True)
class Source:
  """A source of samples for `count` critics.

  Attributes:
    data: pytree of arrays.
    draw: ``(data, key, n) -> [count, n, ...]``, static. A prior may return a
      pytree of such arrays.
    count: number of critics that the source feeds, static.
    push: ``(data, z [n, Z]) -> [count, n, ...]``, static. Maps given latents to
      samples; None for samples without latents.
    latent_size: Z of `push`, static.
  """

  data: Any
  draw: Callable[[Any, types.PRNGKey, int], Any]
  count: int = 1
  push: Callable[[Any, jax.Array], jax.Array] | None = None
  latent_size: int = 0


def normal(latent_size: int) -> Source:
  """Returns a source of standard normal latents, the prior of a generator.

  Args:
    latent_size: Z.
  """
  return Source((), _draw_normal(latent_size))


@functools.lru_cache(maxsize=64)
def _draw_normal(latent_size):
  def draw(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
    del data
    return batch_shards.rows(
      lambda n: jax.random.normal(key, (n, latent_size)), n
    )[None]

  return draw


def random_keys() -> Source:
  """Returns a source of data of random keys, `[n, 2]` uint32.

  In a prior it serves generators that draw random numbers of their own for each
  sample, such as those of dropout (`networks.translation_layers`).
  """
  return Source((), _draw_keys)


def _draw_keys(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
  del data
  return batch_shards.rows(
    lambda n: jax.random.bits(key, (n, 2), jnp.uint32), n
  )[None]


def array(samples: Any, size: jax.Array | int | None = None) -> Source:
  """Returns a source that draws uniformly with replacement from a data set.

  Args:
    samples: `[N, ...]`, uint8 images or float32. A pytree of such arrays, for
      example pairs of images, is drawn row by row.
    size: number of rows to draw from; the rows after them are padding. None is
      all rows.
  """
  size = jax.tree.leaves(samples)[0].shape[0] if size is None else size
  return Source({'samples': samples, 'size': jnp.int32(size)}, _draw_array)


def _draw_array(data: Any, key: types.PRNGKey, n: int) -> Any:
  index = batch_shards.rows(
    lambda n: jax.random.randint(key, (n,), 0, data['size']), n
  )
  return jax.tree.map(
    lambda samples: pixels.decode(samples[index])[None], data['samples']
  )


def together(sources: Mapping[str, Source]) -> Source:
  """Returns a prior that draws several things, such as latents and images.

  Args:
    sources: sources of one output each, by name. A draw is a dict by these
      names.
  """
  names = tuple(sorted(sources))
  return Source(tuple(sources[name] for name in names), _draw_together(names))


@functools.lru_cache(maxsize=64)
def _draw_together(names):
  def draw(data: Any, key: types.PRNGKey, n: int) -> dict[str, Any]:
    keys = jax.random.split(key, len(names))
    return {
      name: source.draw(source.data, k, n)
      for name, source, k in zip(names, data, keys, strict=True)
    }

  return draw


def generators(network: types.Network, params: Any, latent_size: int) -> Source:
  """Returns a source of fresh samples from K frozen generators.

  Args:
    network: the network that all generators share.
    params: their parameters, stacked along a leading axis K.
    latent_size: Z.
  """
  return Source(
    params,
    _draw_generators(network.apply, latent_size),
    jax.tree.leaves(params)[0].shape[0],
    _push_generators(network.apply),
    latent_size,
  )


@functools.lru_cache(maxsize=256)
def _draw_generators(apply, latent_size):
  def draw(params: Any, key: types.PRNGKey, n: int) -> jax.Array:
    count = jax.tree.leaves(params)[0].shape[0]
    z = batch_shards.rows(
      lambda n: jax.random.normal(key, (count, n, latent_size)), n, 1
    )
    return jax.vmap(apply)(params, z)

  return draw


@functools.lru_cache(maxsize=256)
def _push_generators(apply):
  return jax.vmap(apply, (0, None))


def mixture(
  network: types.Network, params: Any, weights: jax.Array, latent_size: int
) -> Source:
  """Returns one source that draws from the mixture of K frozen generators.

  Args:
    network: the network that all generators share.
    params: their parameters, stacked along a leading axis K.
    weights: mixing probabilities, `[K]`.
    latent_size: Z.
  """
  data = {'params': params, 'log_weights': jnp.log(weights)}
  return Source(data, _draw_mixture(network.apply, latent_size))


@functools.lru_cache(maxsize=256)
def _draw_mixture(apply, latent_size):
  draw_all = _draw_generators(apply, latent_size)

  def draw(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
    key_pick, key_draw = jax.random.split(key)
    pick = _picks(key_pick, data['log_weights'], n)
    samples = draw_all(data['params'], key_draw, n)
    return samples[pick, jnp.arange(n)][None]

  return draw


def pooled(sources: Sequence[Source], weights: jax.Array) -> Source:
  """Returns one source that draws from the mixture of several sources.

  Args:
    sources: sources with K outputs in all.
    weights: mixing probabilities of the outputs, `[K]`.
  """
  data = {'sources': tuple(sources), 'log_weights': jnp.log(weights)}
  return Source(data, _draw_pooled)


def _draw_pooled(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
  key_pick, key_draw = jax.random.split(key)
  pick = _picks(key_pick, data['log_weights'], n)
  return draw(data['sources'], key_draw, n)[pick, jnp.arange(n)][None]


def _picks(key: types.PRNGKey, log_weights: jax.Array, n: int) -> jax.Array:
  return batch_shards.rows(
    lambda n: jax.random.categorical(key, log_weights, shape=(n,)), n
  )


def fixed(
  sources: Sequence[Source], key: types.PRNGKey, n: int, batch: int = 500
) -> tuple[Source, ...]:
  """Replaces sources by fixed sets of `n` samples each, stored in 8 bits.

  Args:
    sources: sources.
    key: consumed.
    n: number of samples of each output.
    batch: largest number of samples to compute at once.

  Returns:
    One source for each output.
  """
  count = -(-n // batch)
  size = min(n, batch)

  def sample(key: types.PRNGKey) -> jax.Array:
    levels = jnp.round(
      (jnp.clip(draw(sources, key, size), -1.0, 1.0) + 1) * 127.5
    )
    return levels.astype(jnp.uint8)

  drawn = jax.lax.map(sample, jax.random.split(key, count))  # [., K, size, ...]
  drawn = jnp.moveaxis(drawn, 0, 1)
  drawn = drawn.reshape(len(drawn), count * size, *drawn.shape[3:])
  return tuple(array(x[:n]) for x in drawn)


def total(sources: Sequence[Source]) -> int:
  """Returns K, the number of critics that these sources feed."""
  return sum(source.count for source in sources)


def draw_one(source: Source, key: types.PRNGKey, n: int) -> Any:
  """Draws from a source of one output.

  Args:
    source: a source with `count` 1.
    key: consumed.
    n: number of samples.

  Returns:
    `[n, ...]`, or a pytree of such arrays.
  """
  return jax.tree.map(lambda leaf: leaf[0], source.draw(source.data, key, n))


def draw(
  sources: Sequence[Source],
  key: types.PRNGKey,
  n: int,
  latents: jax.Array | None = None,
) -> jax.Array:
  """Draws `n` samples for every critic.

  Args:
    sources: sources that feed K critics together.
    key: consumed.
    n: number of samples for each critic.
    latents: `[n, Z]`. Every source that has latents of this size uses them
      instead of new ones. None makes all draws independent.

  Returns:
    `[K, n, ...]`.

  Raises:
    AssertionError: samples of the sources have different shapes.
  """
  keys = jax.random.split(key, len(sources))

  def one(source: Source, key: types.PRNGKey) -> jax.Array:
    if latents is not None and source.push is not None:
      if source.latent_size == latents.shape[1]:
        return source.push(source.data, latents)
    return source.draw(source.data, key, n)

  drawn = [one(source, k) for source, k in zip(sources, keys, strict=True)]
  chex.assert_equal_shape_suffix(
    drawn, drawn[0].ndim - 1, custom_message='sources of unlike samples'
  )
  return jnp.concatenate(drawn) if len(drawn) > 1 else drawn[0]

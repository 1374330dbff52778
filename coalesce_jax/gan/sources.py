"""Sources: where real samples come from, and what a generator starts from.

A source is a pytree of arrays and a static draw function, so that it can be
an argument of a compiled step and carry a leading axis of seeds or nodes.
One source may feed several critics at once (its `count`).

Shapes: K sources, B batch, N samples of a data set, Z latent.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

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
  """Samples for `count` critics.

  Attributes:
    data: pytree of arrays.
    draw: ``(data, key, n) -> [count, n, ...]``, static; a pytree of such arrays
      for a prior.
    count: number of critics it feeds, static.
    push: ``(data, z [n, Z]) -> [count, n, ...]``, static; None where samples
      have no latents.
    latent_size: Z of `push`, static.
  """

  data: Any
  draw: Callable[[Any, types.PRNGKey, int], Any]
  count: int = 1
  push: Callable[[Any, jax.Array], jax.Array] | None = None
  latent_size: int = 0


def normal(latent_size: int) -> Source:
  """Standard normal latents: the prior of a generator.

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


def array(samples: Any, size: jax.Array | int | None = None) -> Source:
  """Uniform draws with replacement from a data set.

  Args:
    samples: `[N, ...]`, uint8 images or float32; or a pytree of them, such as
      pairs of images, whose rows are drawn together.
    size: only the first `size` rows are drawn (rows beyond are padding).
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


def together(parts: Mapping[str, Source]) -> Source:
  """A prior of several things, such as latents and images to translate.

  Args:
    parts: sources of one output each; the draws are a dict by their names.
  """
  names = tuple(sorted(parts))
  return Source(tuple(parts[name] for name in names), _draw_together(names))


@functools.lru_cache(maxsize=64)
def _draw_together(names):
  def draw(data: Any, key: types.PRNGKey, n: int) -> dict[str, Any]:
    keys = jax.random.split(key, len(names))
    return {
      name: part.draw(part.data, k, n)
      for name, part, k in zip(names, data, keys, strict=True)
    }

  return draw


def generators(network: types.Network, params: Any, latent_size: int) -> Source:
  """Fresh samples from K frozen generators of one architecture.

  Args:
    network: their network.
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
  """One source: the mixture of K frozen generators.

  Args:
    network: their network.
    params: stacked along a leading axis K.
    weights: `[K]`, probabilities.
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


def pooled(parts: Sequence[Source], weights: jax.Array) -> Source:
  """One source: a mixture over the critics' sources of `parts`.

  Args:
    parts: sources with K outputs together.
    weights: `[K]`, probabilities.
  """
  data = {'parts': tuple(parts), 'log_weights': jnp.log(weights)}
  return Source(data, _draw_pooled)


def _draw_pooled(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
  key_pick, key_draw = jax.random.split(key)
  pick = _picks(key_pick, data['log_weights'], n)
  return draw(data['parts'], key_draw, n)[pick, jnp.arange(n)][None]


def _picks(key: types.PRNGKey, log_weights: jax.Array, n: int) -> jax.Array:
  return batch_shards.rows(
    lambda n: jax.random.categorical(key, log_weights, shape=(n,)), n
  )


def fixed(
  parts: Sequence[Source], key: types.PRNGKey, n: int, batch: int = 500
) -> tuple[Source, ...]:
  """Replaces sources by `n` samples of each, drawn once and kept in 8 bits.

  Args:
    parts: sources.
    key: consumed.
    n: samples of each.
    batch: largest number computed at once.
  """
  count = -(-n // batch)
  size = min(n, batch)

  def some(key: types.PRNGKey) -> jax.Array:
    levels = jnp.round(
      (jnp.clip(draw(parts, key, size), -1.0, 1.0) + 1) * 127.5
    )
    return levels.astype(jnp.uint8)

  drawn = jax.lax.map(some, jax.random.split(key, count))  # [., K, size, ...]
  drawn = jnp.moveaxis(drawn, 0, 1)
  drawn = drawn.reshape(len(drawn), count * size, *drawn.shape[3:])
  return tuple(array(x[:n]) for x in drawn)


def total(parts: Sequence[Source]) -> int:
  """K: number of critics that these sources feed."""
  return sum(part.count for part in parts)


def draw_one(part: Source, key: types.PRNGKey, n: int) -> Any:
  """Draws from a source of one output: `[n, ...]`, or a pytree of them."""
  return jax.tree.map(lambda leaf: leaf[0], part.draw(part.data, key, n))


def draw(
  parts: Sequence[Source],
  key: types.PRNGKey,
  n: int,
  latents: jax.Array | None = None,
) -> jax.Array:
  """Draws `n` samples for every critic: `[K, n, ...]`.

  Args:
    parts: sources.
    key: consumed.
    n: samples of each.
    latents: `[n, Z]`, read by every source that has latents of that size
      instead of its own; None draws all independently.
  """
  keys = jax.random.split(key, len(parts))

  def one(part: Source, key: types.PRNGKey) -> jax.Array:
    if latents is not None and part.push is not None:
      if part.latent_size == latents.shape[1]:
        return part.push(part.data, latents)
    return part.draw(part.data, key, n)

  drawn = [one(part, k) for part, k in zip(parts, keys, strict=True)]
  return jnp.concatenate(drawn) if len(drawn) > 1 else drawn[0]

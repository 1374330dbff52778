"""Buffers: fakes of earlier steps that the critics see again.

A buffer's arrays are part of the game's state, so that they are checkpointed
and resumed like everything else.

Shapes: K critics, B batch, P images of a pool.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.parallel import batch_shards


class Buffer(NamedTuple):
  """A buffer as pure functions.

  Attributes:
    init: ``one fake -> state``; the fake gives shape and type alone.
    exchange: ``(state, fakes [N, ...], key) -> (state, fakes [N, ...])``: what
      the critics see instead of the generator's fakes.
  """

  init: Callable[[Any], Any]
  exchange: Callable[[Any, jax.Array, types.PRNGKey], tuple[Any, jax.Array]]


def start(buffer: Buffer, fakes: Any, own: bool) -> Any:
  """Returns the first state.

  Args:
    buffer: what keeps fakes.
    fakes: shape and type of `[N, ...]`, or `[K, N, ...]` for own fakes.
    own: whether every critic sees fakes of its own; each then has a buffer.
  """
  if not own:
    return buffer.init(jax.ShapeDtypeStruct(fakes.shape[1:], fakes.dtype))
  one = jax.ShapeDtypeStruct(fakes.shape[2:], fakes.dtype)
  return jax.vmap(lambda _: buffer.init(one))(jnp.arange(fakes.shape[0]))


def exchange(
  buffer: Buffer, state: Any, fakes: jax.Array, key: types.PRNGKey, shared: bool
) -> tuple[Any, jax.Array]:
  """Returns the next state, and what the critics see.

  Args:
    buffer: what keeps fakes.
    state: its state.
    fakes: new ones, `[N, ...]`, or `[K, N, ...]` where they are not shared.
    key: consumed.
    shared: whether all critics see the same ones.
  """
  if shared:
    return buffer.exchange(state, fakes, key)
  keys = jax.random.split(key, len(fakes))
  return jax.vmap(buffer.exchange)(state, fakes, keys)


@functools.lru_cache(maxsize=8)
def none() -> Buffer:
  """Returns the buffer that keeps nothing: critics see the fakes themselves."""
  return Buffer(lambda fake: (), lambda state, fakes, key: (state, fakes))


@functools.lru_cache(maxsize=8)
def pool(size: int) -> Buffer:
  """Returns a history of fakes, as of CycleGAN.

  Until it is full, the pool takes each fake and returns it. After that it
  returns each fake itself with probability 1/2, and otherwise a random image
  of the pool, whose place the fake takes. Section 4 of Zhu et al.,
  https://arxiv.org/abs/1703.10593, after Shrivastava et al.,
  https://arxiv.org/abs/1612.07828.

  Args:
    size: P, at least 1.

  Raises:
    ValueError: `size` is below 1.
  """
  if size < 1:
    raise ValueError(f'a pool of {size} images: at least 1 is needed')

  def init(fake: Any) -> dict[str, jax.Array]:
    images = jnp.zeros((size, *fake.shape), fake.dtype)
    return {'images': images, 'count': jnp.int32(0)}

  def exchange(
    state: dict[str, jax.Array], fakes: jax.Array, key: types.PRNGKey
  ) -> tuple[dict[str, jax.Array], jax.Array]:
    if batch_shards.count() > 1:
      raise ValueError('a pool of fakes needs the whole batch on one device')

    def one(
      state: dict[str, jax.Array], given: tuple[jax.Array, jax.Array]
    ) -> tuple[dict[str, jax.Array], jax.Array]:
      fake, key = given
      images, count = state['images'], state['count']
      key_place, key_coin = jax.random.split(key)
      filling = count < size
      place = jnp.where(
        filling, count, jax.random.randint(key_place, (), 0, size)
      )
      swap = ~filling & jax.random.bernoulli(key_coin)
      seen = jnp.where(swap, images[place], fake)
      kept = jnp.where(filling | swap, fake, images[place])
      after = {
        'images': images.at[place].set(kept),
        'count': jnp.minimum(count + 1, size),
      }
      return after, seen

    keys = jax.random.split(key, fakes.shape[0])
    return jax.lax.scan(one, state, (fakes, keys))

  return Buffer(init, exchange)

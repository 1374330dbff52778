"""Keeps fakes of earlier steps, which the critics see again.

The arrays of a buffer are part of the game's state, so that checkpoints hold
them.

Shapes: K critics, N fakes, P images of a pool.
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
    init: ``one fake -> state``. Only the shape and type of the fake are used.
    exchange: ``(state, fakes [N, ...], key) -> (state, fakes [N, ...])``.
      Returns the fakes that the critics see instead of the generator's.
  """

  init: Callable[[Any], Any]
  exchange: Callable[[Any, jax.Array, types.PRNGKey], tuple[Any, jax.Array]]


def start(buffer: Buffer, fakes: Any, own: bool) -> Any:
  """Returns the first state of a buffer.

  Args:
    buffer: the buffer.
    fakes: shape and type of the fakes, `[N, ...]`, or `[K, N, ...]` where each
      critic sees its own.
    own: whether each critic sees fakes of its own. Each then has a buffer.
  """
  if not own:
    return buffer.init(jax.ShapeDtypeStruct(fakes.shape[1:], fakes.dtype))
  one = jax.ShapeDtypeStruct(fakes.shape[2:], fakes.dtype)
  return jax.vmap(lambda _: buffer.init(one))(jnp.arange(fakes.shape[0]))


def exchange(
  buffer: Buffer, state: Any, fakes: jax.Array, key: types.PRNGKey, shared: bool
) -> tuple[Any, jax.Array]:
  """Updates a buffer and returns its state and the fakes that the critics see.

  Args:
    buffer: the buffer.
    state: its state.
    fakes: new fakes, `[N, ...]`, or `[K, N, ...]` if they are not shared.
    key: consumed.
    shared: whether all critics see the same fakes.
  """
  if shared:
    return buffer.exchange(state, fakes, key)
  keys = jax.random.split(key, len(fakes))
  return jax.vmap(buffer.exchange)(state, fakes, keys)


@functools.lru_cache(maxsize=8)
def none() -> Buffer:
  """Returns a buffer without memory: critics see the new fakes."""
  return Buffer(lambda fake: (), lambda state, fakes, key: (state, fakes))


@functools.lru_cache(maxsize=8)
def pool(size: int) -> Buffer:
  """Returns a pool of P old fakes, as in CycleGAN.

  A pool that is not full stores each new fake and returns it. A full pool
  returns each new fake with probability 1/2. Otherwise it returns a random
  image of the pool and stores the new fake in its place. Sec. 4 of Zhu et al.,
  https://arxiv.org/abs/1703.10593, after Shrivastava et al.,
  https://arxiv.org/abs/1612.07828.

  Args:
    size: P, at least 1.

  Raises:
    ValueError: `size` is below 1; at `exchange`, the batch is split over
      several devices.
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
      state: dict[str, jax.Array], pair: tuple[jax.Array, jax.Array]
    ) -> tuple[dict[str, jax.Array], jax.Array]:
      fake, key = pair
      images, count = state['images'], state['count']
      key_place, key_coin = jax.random.split(key)
      filling = count < size
      place = jnp.where(
        filling, count, jax.random.randint(key_place, (), 0, size)
      )
      swap = ~filling & jax.random.bernoulli(key_coin)
      seen = jnp.where(swap, images[place], fake)
      stored = jnp.where(filling | swap, fake, images[place])
      new_state = {
        'images': images.at[place].set(stored),
        'count': jnp.minimum(count + 1, size),
      }
      return new_state, seen

    keys = jax.random.split(key, fakes.shape[0])
    return jax.lax.scan(one, state, (fakes, keys))

  return Buffer(init, exchange)

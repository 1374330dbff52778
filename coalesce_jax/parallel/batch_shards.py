"""Splits one batch over several devices without changing the training.

Code that is traced inside `split` sees one of n equal shards of the batch, and
averages over all shards where it needs a mean over the batch. Every shard uses
the random numbers of the whole batch, so that the result does not depend on the
number of shards. Shard i has the samples i, i + n, i + 2 n and so on.

Outside `split` there is one shard, the whole batch.

Shapes: B batch.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
from typing import TypeVar

import jax
from jax import flatten_util

# The name of the mapped axis that enumerates the shards.
AXIS = 'batch'

T = TypeVar('T')

# In values of a batch: 64 images of 8 x 8 pixels have 4,096 values, 64 images
# of 28 x 28 pixels have 50,176.
_LARGE_BATCH = 16384

_shards: contextvars.ContextVar[int] = contextvars.ContextVar(
  'shards', default=1
)


@contextlib.contextmanager
def split(shards: int) -> Iterator[None]:
  """Splits the batch of all code that is traced inside into shards.

  Args:
    shards: number of shards, the size of the mapped axis `AXIS`.
  """
  token = _shards.set(shards)
  try:
    yield
  finally:
    _shards.reset(token)


def count() -> int:
  """Returns how many shards the batch of what is traced has."""
  return _shards.get()


def one_core() -> bool:
  """Returns whether each batch shard runs on one core of a CPU.

  One core is faster with few large operations. A device with all cores splits
  every operation among them, except stacked matrix products.
  """
  return _shards.get() > 1 and jax.default_backend() == 'cpu'


def in_turns(values: int) -> bool:
  """Returns whether independent updates are computed one after another.

  This was measured on two CPU cores, for the replicas of an ensemble and for
  the updates of several critics. Large batches computed at once evict each
  other from the caches; a small batch alone does not keep both cores busy.

  Args:
    values: number of values in one batch.
  """
  return jax.default_backend() == 'cpu' and values >= _LARGE_BATCH


def size(batch: int) -> int:
  """Returns the number of samples in one shard of a batch of size B.

  Raises:
    ValueError: the number of shards does not divide B.
  """
  if batch % _shards.get():
    raise ValueError(
      f'a batch of {batch} has no {_shards.get()} equal shards: use a number '
      'of devices that divides it'
    )
  return batch // _shards.get()


def rows(
  draw: Callable[[int], jax.Array], count: int, axis: int = 0
) -> jax.Array:
  """Draws random numbers for the whole batch and returns those of this shard.

  Args:
    draw: ``number of samples -> random numbers``, with samples along `axis`.
    count: number of samples in one shard.
    axis: the axis of the samples.

  Returns:
    The `count` samples of this shard.
  """
  shards = _shards.get()
  if shards == 1:
    return draw(count)
  whole = draw(shards * count)
  apart = whole.reshape(
    *whole.shape[:axis], count, shards, *whole.shape[axis + 1 :]
  )
  index = jax.lax.axis_index(AXIS)
  return jax.lax.dynamic_index_in_dim(apart, index, axis + 1, keepdims=False)


def mean(tree: T) -> T:
  """Averages every leaf of a tree over all shards."""
  if _shards.get() == 1:
    return tree
  # One message for the tree is cheaper than one message for each leaf.
  flat, restore = flatten_util.ravel_pytree(tree)
  return restore(jax.lax.pmean(flat, AXIS))

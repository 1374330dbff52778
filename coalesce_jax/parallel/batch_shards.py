"""Shares of one batch: several devices play one game, each on its own samples.

A game traced inside of `split` plays on its share, one of `parts` equal ones,
and takes means over all shares where it needs those of the batch. Random
numbers are those of the whole batch, so that the game stays the same game: of
a batch, share i has the samples i, i + parts, i + 2 parts and so on.

Outside of `split` the share is the whole.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
from typing import TypeVar

import jax
from jax import flatten_util

# The name of the axis that the shares are mapped over.
AXIS = 'batch'

T = TypeVar('T')

# Values of a batch: 64 images of 8 pixels have 4,096, of 28 pixels 50,176.
_LARGE_BATCH = 16384

_parts: contextvars.ContextVar[int] = contextvars.ContextVar('parts', default=1)


@contextlib.contextmanager
def split(parts: int) -> Iterator[None]:
  """What is traced inside is one of so many shares, along the axis `AXIS`."""
  token = _parts.set(parts)
  try:
    yield
  finally:
    _parts.reset(token)


def count() -> int:
  """Returns how many shards the batch of what is traced has."""
  return _parts.get()


def one_core() -> bool:
  """Whether each share of what is traced is small and has a core of a CPU.

  Few large operations are then the faster ones. A device that has all cores
  splits every operation among them, but for products of many matrices.
  """
  return _parts.get() > 1 and jax.default_backend() == 'cpu'


def in_turns(values: int) -> bool:
  """Whether what plays on batches of so many values is computed in turns.

  Measured on two CPU cores, for members of an ensemble and for updates of
  critics: beyond some size they drive each other out of the caches, below it
  one alone leaves the cores waiting.
  """
  return jax.default_backend() == 'cpu' and values >= _LARGE_BATCH


def size(batch: int) -> int:
  """Samples of this share.

  Raises:
    ValueError: the batch has no so many equal shares.
  """
  if batch % _parts.get():
    raise ValueError(
      f'a batch of {batch} has no {_parts.get()} equal shares: spread it over '
      'a number of devices that divides it'
    )
  return batch // _parts.get()


def rows(
  draw: Callable[[int], jax.Array], count: int, axis: int = 0
) -> jax.Array:
  """This share of random numbers.

  Args:
    draw: how many -> numbers, as many along `axis`.
    count: those of this share.
    axis: of the samples.

  Returns:
    `count` of the ``draw(parts * count)`` of all shares.
  """
  parts = _parts.get()
  if parts == 1:
    return draw(count)
  whole = draw(parts * count)
  apart = whole.reshape(
    *whole.shape[:axis], count, parts, *whole.shape[axis + 1 :]
  )
  index = jax.lax.axis_index(AXIS)
  return jax.lax.dynamic_index_in_dim(apart, index, axis + 1, keepdims=False)


def mean(tree: T) -> T:
  """The means of a tree's leaves over all shares."""
  if _parts.get() == 1:
    return tree
  # One message instead of one a leaf.
  flat, restore = flatten_util.ravel_pytree(tree)
  return restore(jax.lax.pmean(flat, AXIS))

"""Local samples as sources: the rows to learn from, the rows held out.

Shapes: N local samples.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.data import partition
from coalesce_jax.gan import sources

# Samples are padded to so many rows where these take at most so many bytes.
PADDED_ROWS, PADDED_BYTES = 1024, 2**22


def check(
  images: Any, image_shape: tuple[int, ...], replicas: tuple[int, ...] = ()
) -> jax.Array:
  """Returns local samples of the right rank, shape and number.

  Args:
    images: `[*replicas, N, *image_shape]`, uint8 or in [-1, 1].
    image_shape: shape of one sample.
    replicas: leading axes.

  Raises:
    ValueError: another shape, or fewer than `partition.MIN_LOCAL` samples.
  """
  shape, lead = tuple(images.shape), 1 + len(replicas)
  if len(shape) < lead or shape[lead:] != tuple(image_shape):
    raise ValueError(
      f'local samples have shape {shape[lead:]}, the generator makes '
      f'{tuple(image_shape)}'
    )
  if shape[lead - 1] < partition.MIN_LOCAL:
    raise ValueError(
      f'{shape[lead - 1]} local samples, at least {partition.MIN_LOCAL} are '
      'needed'
    )
  return jnp.asarray(images)


def held_out(count: int, fraction: float) -> int:
  """Returns how many samples are held out: at least one, or none for 0."""
  return min(count - 1, max(1, round(fraction * count))) if fraction else 0


def split_held_out(
  images: Any, fraction: float
) -> tuple[sources.Source, sources.Source]:
  """Splits samples into the first rows to learn from, the last to measure on.

  Args:
    images: `[N, ...]`.
    fraction: of N that is held out, at least one sample; 0 measures on the
      training samples.
  """
  n = images.shape[0]
  held = held_out(n, fraction)
  if not held:
    return _few(images), _few(images)
  return _few(images[: n - held]), _few(images[n - held :])


def _few(images: Any) -> sources.Source:
  """A source, padded where that is cheap: one program for any number."""
  n, *shape = images.shape
  rows = max(n, PADDED_ROWS)
  if rows * math.prod(shape) * images.dtype.itemsize > PADDED_BYTES:
    return sources.array(images)
  padding = [(0, rows - n)] + [(0, 0)] * len(shape)
  return sources.array(jnp.pad(images, padding), n)

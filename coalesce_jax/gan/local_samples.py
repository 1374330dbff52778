"""Turns local samples into sources for training and for distance estimates.

Shapes: N local samples.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.data import partition
from coalesce_jax.data import samples
from coalesce_jax.gan import sources

# Samples are padded to so many rows if these take at most so many bytes.
PADDED_ROWS, PADDED_BYTES = 1024, 2**22


def check(
  images: Any, image_shape: tuple[int, ...], replicas: tuple[int, ...] = ()
) -> jax.Array:
  """Returns local samples after checking their shape, number and values.

  Args:
    images: `[*replicas, N, *image_shape]`, uint8 or in [-1, 1]; see
      `data.samples.array` for what else is converted.
    image_shape: shape of one sample.
    replicas: sizes of the leading axes.

  Raises:
    ValueError: the shape differs, there are fewer than `partition.MIN_LOCAL`
      samples, or their values are ambiguous or not finite.
  """
  images = samples.array(images, image_shape, 'local samples')
  shape, lead = tuple(images.shape), 1 + len(replicas)
  if len(shape) < lead or shape[lead:] != tuple(image_shape):
    raise ValueError(
      f'local samples have shape {shape[lead:]}, the generator makes '
      f'{tuple(image_shape)}' + samples.advice(shape[lead:], tuple(image_shape))
    )
  if shape[lead - 1] < partition.MIN_LOCAL:
    raise ValueError(
      f'{shape[lead - 1]} local samples, at least {partition.MIN_LOCAL} are '
      'needed'
    )
  return jnp.asarray(samples.checked(images, image_shape, 'local samples'))


def held_out(count: int, fraction: float) -> int:
  """Returns how many samples are held out: at least one, or none for 0.

  Args:
    count: number of samples.
    fraction: fraction that is held out.
  """
  return min(count - 1, max(1, round(fraction * count))) if fraction else 0


def split_held_out(
  images: Any, fraction: float
) -> tuple[sources.Source, sources.Source]:
  """Splits samples into training samples and held-out samples, the last rows.

  Args:
    images: `[N, ...]`.
    fraction: fraction that is held out, at least one sample. For 0 the training
      samples also serve the distance estimates.

  Returns:
    Two sources: the training samples and the held-out samples.
  """
  n = images.shape[0]
  held = held_out(n, fraction)
  if not held:
    return _padded(images), _padded(images)
  return _padded(images[: n - held]), _padded(images[n - held :])


def _padded(images: Any) -> sources.Source:
  """Returns a source, padded where that is cheap.

  Padded sources of different numbers of samples share one compiled program.
  """
  n, *shape = images.shape
  rows = max(n, PADDED_ROWS)
  if rows * math.prod(shape) * images.dtype.itemsize > PADDED_BYTES:
    return sources.array(images)
  padding = [(0, rows - n)] + [(0, 0)] * len(shape)
  return sources.array(jnp.pad(images, padding), n)

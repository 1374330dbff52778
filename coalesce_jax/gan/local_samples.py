"""Local samples as sources: the rows to learn from, the rows held out.

Shapes: N local samples.
"""

import math
from typing import Any

import jax.numpy as jnp

from coalesce_jax.gan import sources

# Local samples are padded to so many rows where all of them take at most so
# many bytes.
PADDED_ROWS, PADDED_BYTES = 1024, 2**22


def held_out(count: int, fraction: float) -> int:
  """How many of so many samples are held out: one at least, or none for 0."""
  return min(count - 1, max(1, round(fraction * count))) if fraction else 0


def split_held_out(
  images: Any, fraction: float
) -> tuple[sources.Source, sources.Source]:
  """The first rows to learn from, the last ones to measure on.

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
  """Their source, padded where that is small: one program for any number."""
  n, *shape = images.shape
  rows = max(n, PADDED_ROWS)
  if rows * math.prod(shape) * images.dtype.itemsize > PADDED_BYTES:
    return sources.array(images)
  padding = [(0, rows - n)] + [(0, 0)] * len(shape)
  return sources.array(jnp.pad(images, padding), n)

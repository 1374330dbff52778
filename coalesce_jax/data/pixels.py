"""Converts 8-bit images to float32 in [-1, 1]."""

import jax
import jax.numpy as jnp


def decode(images: jax.Array) -> jax.Array:
  """Maps uint8 levels 0 to 255 to float32 in [-1, 1], and keeps floats."""
  if images.dtype == jnp.uint8:
    return images.astype(jnp.float32) / 127.5 - 1.0
  return images

"""Pixels as numbers: 8-bit images to float32 in [-1, 1]."""

import jax
import jax.numpy as jnp


def decode(images: jax.Array) -> jax.Array:
  """uint8 0..255 to float32 in [-1, 1]; float32 stays as it is."""
  if images.dtype == jnp.uint8:
    return images.astype(jnp.float32) / 127.5 - 1.0
  return images

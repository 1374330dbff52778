"""Groups the products of a convolution that are computed as one.

See `patch_geometry.product_groups`.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import patch_geometry


def grouped(
  parts: list[jax.Array], shape: patch_geometry.Geometry, axis: int
) -> list[jax.Array]:
  """Returns one array per group of products, stacked along `axis` if asked."""
  return [
    jnp.stack([parts[i] for i in group], axis)
    if shape.stacked
    else parts[group[0]]
    for group in patch_geometry.product_groups(shape)
  ]


def separate(
  arrays: Sequence[jax.Array], shape: patch_geometry.Geometry, axis: int
) -> list[jax.Array | None]:
  """Returns one array per product; None for one without values."""
  found: list[jax.Array | None] = [None] * len(
    patch_geometry.product_sizes(shape)
  )
  groups = patch_geometry.product_groups(shape)
  for array, group in zip(arrays, groups, strict=True):
    for j, i in enumerate(group):
      found[i] = (
        lax.index_in_dim(array, j, axis, False) if shape.stacked else array
      )
  return found

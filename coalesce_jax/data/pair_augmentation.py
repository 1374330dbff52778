"""Crops and flips a batch of image pairs at random, on the device.

Both halves of a pair get the same crop and flip. The functions are pure and may
be compiled.

Shapes: B batch, H, W, C image in any range.
"""

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


def augment(
  key: types.PRNGKey,
  condition: jax.Array,
  target: jax.Array,
  crop_size: tuple[int, int],
  flip: bool = True,
  paired: bool = True,
) -> tuple[jax.Array, jax.Array]:
  """Crops each pair at a random place and mirrors half of the pairs.

  Args:
    key: random key, consumed.
    condition: `[B, H, W, C]`.
    target: `[B, H, W, D]`; the same H and W if paired.
    crop_size: (H', W') of the crops; static.
    flip: whether to mirror left and right; static.
    paired: whether both halves of a row get the same crop and flip; static.

  Returns:
    Condition and target, `[B, H', W', C]` and `[B, H', W', D]`.

  Raises:
    ValueError: a crop is larger than an image, or paired images differ in size.
  """
  if paired and condition.shape[:3] != target.shape[:3]:
    raise ValueError(
      f'paired images {condition.shape} and {target.shape} differ in size'
    )
  first, second = jax.random.split(key)
  return (
    _changed(first, condition, crop_size, flip),
    _changed(first if paired else second, target, crop_size, flip),
  )


def _changed(
  key: types.PRNGKey, images: jax.Array, crop_size: tuple[int, int], flip: bool
) -> jax.Array:
  (height, width), (high, wide) = crop_size, images.shape[1:3]
  if height > high or width > wide:
    raise ValueError(f'crop {crop_size} of images {images.shape}')

  def one(key: types.PRNGKey, image: jax.Array) -> jax.Array:
    down, across, mirror = jax.random.split(key, 3)
    # Rows and columns as one-hot matrices would cost more than this slice,
    # which has no gradient to transpose.
    top = jax.random.randint(down, (), 0, high - height + 1)
    left = jax.random.randint(across, (), 0, wide - width + 1)
    image = jax.lax.dynamic_slice(
      image, (top, left, 0), (height, width, image.shape[2])
    )
    if flip:
      image = jnp.where(jax.random.bernoulli(mirror), image[:, ::-1], image)
    return image

  return jax.vmap(one)(jax.random.split(key, len(images)), images)

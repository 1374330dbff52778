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
  if paired:
    places = _draw(key, condition.shape, crop_size, flip)
    return (
      _changed(condition, places, crop_size),
      _changed(target, places, crop_size),
    )
  one, two = jax.random.split(key)
  return (
    _changed(
      condition, _draw(one, condition.shape, crop_size, flip), crop_size
    ),
    _changed(target, _draw(two, target.shape, crop_size, flip), crop_size),
  )


def _draw(
  key: types.PRNGKey, shape: tuple[int, ...], crop: tuple[int, int], flip: bool
) -> jax.Array:
  """Draws the top, the left and whether to mirror for each image, `[B, 3]`."""
  batch, height, width, _ = shape
  if crop[0] > height or crop[1] > width:
    raise ValueError(f'crop {crop} of images {shape}')
  low = jnp.zeros(3, int)
  high = jnp.array([height - crop[0], width - crop[1], int(flip)]) + 1
  return jax.random.randint(key, (batch, 3), low[None], high[None])


def _changed(
  images: jax.Array, places: jax.Array, crop: tuple[int, int]
) -> jax.Array:
  def one(image: jax.Array, place: jax.Array) -> jax.Array:
    origin = (place[0], place[1], 0)
    image = jax.lax.dynamic_slice(image, origin, (*crop, image.shape[2]))
    return jnp.where(place[2], image[:, ::-1], image)

  return jax.vmap(one)(images, places)

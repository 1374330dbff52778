"""Augments real and generated images by differentiable random changes.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training",
https://arxiv.org/abs/2006.10738. Unlike there, a shifted image is continued by
its border pixels, so that a digit keeps its background.

Shapes: B batch, H, W, C image in [-1, 1].
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.data import augmentation_names
from coalesce_jax.parallel import batch_shards

Augment = Callable[[types.PRNGKey, jax.Array], jax.Array]


def translation(
  key: types.PRNGKey, x: jax.Array, ratio: float = 0.125
) -> jax.Array:
  """Shifts each image in both directions at random.

  Args:
    key: random key, consumed.
    x: images, `[B, H, W, C]`.
    ratio: largest shift as a fraction of the image's size.
  """
  for axis, k in zip((1, 2), jax.random.split(key), strict=True):
    size = x.shape[axis]
    reach = max(1, round(size * ratio))
    shift = _randint(k, x.shape[0], -reach, reach + 1)
    origin = jnp.clip(jnp.arange(size)[None] + shift, 0, size - 1)
    # A matrix product instead of a gather: its transpose is a product too, not
    # a scatter.
    move = jax.nn.one_hot(origin, size, dtype=x.dtype)  # [B, out, in]
    pattern = 'bij,bjwc->biwc' if axis == 1 else 'bij,bhjc->bhic'
    x = jnp.einsum(pattern, move, x, precision=jax.lax.Precision.HIGHEST)
  return x


def cutout(key: types.PRNGKey, x: jax.Array, ratio: float = 0.3) -> jax.Array:
  """Sets one rectangle of each image, at a random position, to 0.

  Args:
    key: random key, consumed.
    x: images, `[B, H, W, C]`.
    ratio: sides of the rectangle as a fraction of the image's sides.
  """
  inside = jnp.ones((x.shape[0], 1, 1), bool)
  for axis, k in zip((1, 2), jax.random.split(key), strict=True):
    size = x.shape[axis]
    length = max(1, round(size * ratio))
    low = _randint(k, x.shape[0], 1 - length, size)
    index = jnp.arange(size)[None]
    within = (index >= low) & (index < low + length)
    inside &= within[:, :, None] if axis == 1 else within[:, None, :]
  return jnp.where(inside[..., None], 0.0, x)


def flip(key: types.PRNGKey, x: jax.Array) -> jax.Array:
  """Mirrors each image left to right with probability one half.

  Args:
    key: random key, consumed.
    x: images, `[B, H, W, C]`.
  """
  mirrored = batch_shards.rows(
    lambda n: jax.random.bernoulli(key, 0.5, (n, 1, 1, 1)), x.shape[0]
  )
  return jnp.where(mirrored, x[:, :, ::-1], x)


def _randint(key: types.PRNGKey, count: int, low: int, high: int) -> jax.Array:
  return batch_shards.rows(
    lambda n: jax.random.randint(key, (n, 1), low, high), count
  )


_FUNCTIONS: dict[str, Callable[..., jax.Array]] = {
  'translation': translation,
  'cutout': cutout,
  'flip': flip,
}


@functools.lru_cache(maxsize=64)
def build(names: str) -> Augment | None:
  """Composes augmentations by name.

  Args:
    names: `augmentation_names.KINDS`, separated by commas and applied in this
      order. Translation and cutout take their `ratio` after a colon:
      'translation:0.07' shifts 28 pixels by up to two. '' is no augmentation.

  Returns:
    ``(key, x) -> x``, or None for ''.

  Raises:
    ValueError: a name is unknown, a ratio is not in (0, 1), or the
      augmentation takes no ratio.
  """
  kinds = [
    _FUNCTIONS[name]
    if ratio is None
    else functools.partial(_FUNCTIONS[name], ratio=ratio)
    for name, ratio in augmentation_names.parse(names)
  ]
  if not kinds:
    return None

  def apply(key: types.PRNGKey, x: jax.Array) -> jax.Array:
    for kind, k in zip(kinds, jax.random.split(key, len(kinds)), strict=True):
      x = kind(k, x)
    return x

  return apply

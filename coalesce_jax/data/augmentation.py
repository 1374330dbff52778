"""Differentiable augmentation of images, applied to real and fake alike.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training",
https://arxiv.org/abs/2006.10738. Borders are replicated rather than filled
with a constant, so that a shifted digit stays a digit on its background.

Shapes: B batch, H, W, C image in [-1, 1].
"""

from collections.abc import Callable
import functools
import math

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.parallel import batch_shards

Augment = Callable[[types.PRNGKey, jax.Array], jax.Array]


def translation(
  key: types.PRNGKey, x: jax.Array, ratio: float = 0.125
) -> jax.Array:
  """Shifts each image by up to `ratio` of its size in both directions."""
  for axis, k in zip((1, 2), jax.random.split(key), strict=True):
    size = x.shape[axis]
    reach = max(1, round(size * ratio))
    shift = _randint(k, x.shape[0], -reach, reach + 1)
    origin = jnp.clip(jnp.arange(size)[None] + shift, 0, size - 1)
    # A product with a 0/1 matrix: its transpose is a product too, while a
    # gather's would be a scatter.
    move = jax.nn.one_hot(origin, size, dtype=x.dtype)  # [B, out, in]
    pattern = 'bij,bjwc->biwc' if axis == 1 else 'bij,bhjc->bhic'
    x = jnp.einsum(pattern, move, x, precision=jax.lax.Precision.HIGHEST)
  return x


def cutout(key: types.PRNGKey, x: jax.Array, ratio: float = 0.3) -> jax.Array:
  """Sets one random square of each image, `ratio` of its size, to 0."""
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
  """Mirrors each image left to right with probability one half."""
  mirrored = batch_shards.rows(
    lambda n: jax.random.bernoulli(key, 0.5, (n, 1, 1, 1)), x.shape[0]
  )
  return jnp.where(mirrored, x[:, :, ::-1], x)


def _randint(key: types.PRNGKey, count: int, low: int, high: int) -> jax.Array:
  return batch_shards.rows(
    lambda n: jax.random.randint(key, (n, 1), low, high), count
  )


KINDS: dict[str, Callable[..., jax.Array]] = {
  'translation': translation,
  'cutout': cutout,
  'flip': flip,
}
# Of these a part of the image's size may be given.
_SIZED = ('translation', 'cutout')


@functools.lru_cache(maxsize=64)
def build(names: str) -> Augment | None:
  """Composes augmentations by name.

  Args:
    names: comma-separated keys of `KINDS`, applied in this order, those of a
      size with their `ratio` if it is not the usual one ('translation:0.07' of
      28 pixels moves by up to two); '' is none.

  Returns:
    ``(key, x) -> x``, or None for ''.

  Raises:
    ValueError: unknown name; a ratio that is not in (0, 1), or of another kind.
  """
  kinds = [_kind(name.strip()) for name in names.split(',') if name.strip()]
  if not kinds:
    return None

  def apply(key: types.PRNGKey, x: jax.Array) -> jax.Array:
    for kind, k in zip(kinds, jax.random.split(key, len(kinds)), strict=True):
      x = kind(k, x)
    return x

  return apply


def _kind(name: str) -> Augment:
  kind, colon, ratio = name.partition(':')
  if kind not in KINDS:
    raise ValueError(f'augmentation {kind!r} is not one of {sorted(KINDS)}')
  if not colon:
    return KINDS[kind]
  try:
    part = float(ratio)
  except ValueError:
    part = math.nan
  if kind not in _SIZED or not 0 < part < 1:
    raise ValueError(
      f'augmentation {name!r}: a part of the size, between 0 and 1, can be '
      f'given for {", ".join(_SIZED)}'
    )
  return functools.partial(KINDS[kind], ratio=part)

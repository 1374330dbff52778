"""Sources of image pairs and of images, with one random crop and flip a row.

Shapes: N, M images, B batch, H, W, C condition, D channels of the target.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.data import pair_augmentation
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.parallel import batch_shards

Crop = tuple[int, int] | None


def beside(condition: jax.Array, target: jax.Array) -> jax.Array:
  """Returns conditions and targets as channels of one image."""
  return jnp.concatenate([condition, target], -1)


def pairs(
  condition: Any, target: Any, *, crop: Crop, flip: bool, paired: bool = True
) -> sources.Source:
  """Returns a prior that draws pairs, `{'condition': ..., 'target': ...}`.

  Args:
    condition: `[N, H, W, C]`, uint8 or in [-1, 1].
    target: `[M, H, W, D]`, likewise.
    crop: (H, W) of random crops; None is whole images.
    flip: whether half of the rows are mirrored.
    paired: whether a row of one belongs to the same row of the other. Otherwise
      both are drawn, cropped and mirrored independently.
  """
  data = {'condition': condition, 'target': target}
  return sources.Source(data, _draw(crop, flip, paired, joined=False))


def joined_pairs(
  condition: Any, target: Any, *, crop: Crop, flip: bool
) -> sources.Source:
  """Returns a source of pairs as single images, see `beside`."""
  data = {'condition': condition, 'target': target}
  return sources.Source(data, _draw(crop, flip, True, joined=True))


def images(
  samples: Any, *, crop: Crop, flip: bool, channels: int | None = None
) -> sources.Source:
  """Returns a source of images.

  Args:
    samples: `[N, H, W, C]`, uint8 or in [-1, 1].
    crop: see `pairs`.
    flip: see `pairs`.
    channels: number of channels to which zeros are added, see `widened`.
  """
  return sources.Source(samples, _draw_images(crop, flip, channels))


def widened(x: jax.Array, channels: int | None) -> jax.Array:
  """Adds channels of zeros, so that one critic network sees both domains."""
  more = 0 if channels is None else channels - x.shape[-1]
  if not more:
    return x
  return jnp.concatenate([x, jnp.zeros((*x.shape[:-1], more), x.dtype)], -1)


def _picked(key: types.PRNGKey, samples: jax.Array, n: int) -> jax.Array:
  index = batch_shards.rows(
    lambda n: jax.random.randint(key, (n,), 0, len(samples)), n
  )
  return pixels.decode(samples[index])


@functools.lru_cache(maxsize=64)
def _draw(crop: Crop, flip: bool, paired: bool, joined: bool) -> Callable:
  def draw(data: Any, key: types.PRNGKey, n: int) -> Any:
    first, second, key_augment = jax.random.split(key, 3)
    condition = _picked(first, data['condition'], n)
    target = _picked(first if paired else second, data['target'], n)
    if crop is not None or flip:
      size = crop or (condition.shape[1], condition.shape[2])
      condition, target = pair_augmentation.augment(
        key_augment, condition, target, size, flip, paired
      )
    if joined:
      return beside(condition, target)[None]
    return {'condition': condition[None], 'target': target[None]}

  return draw


@functools.lru_cache(maxsize=64)
def _draw_images(crop: Crop, flip: bool, channels: int | None) -> Callable:
  def draw(data: Any, key: types.PRNGKey, n: int) -> jax.Array:
    key_pick, key_augment = jax.random.split(key)
    picked = _picked(key_pick, data, n)
    if crop is not None or flip:
      size = crop or (picked.shape[1], picked.shape[2])
      picked, _ = pair_augmentation.augment(
        key_augment, picked, picked[..., :0], size, flip
      )
    return widened(picked, channels)[None]

  return draw

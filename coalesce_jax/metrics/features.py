"""Feature networks, and the features that they give of images.

A score is comparable only with the network that made its features, so every
network has a name that scores carry.

Shapes: N images, H, W, C; F features; M classes.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pixels


class Features(NamedTuple):
  """A feature network.

  Attributes:
    name: what scores are labelled with.
    apply: ``(params, images) -> (features, logits)``.
    params: its parameters.
    image_shape: (H, W, C) it takes.
    classes: number of classes; 0 where its logits mean nothing.
    accuracy: on the test split it was committed with; NaN where unknown.
    batch: images that fit into memory at once.
  """

  name: str
  apply: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
  params: Any
  image_shape: tuple[int, ...]
  classes: int
  accuracy: float
  batch: int = 1000


def extract(
  features: Features, images: Any, batch: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
  """Features and class probabilities.

  Args:
    features: the network.
    images: `[N, H, W, C]`, uint8 or float in [-1, 1].
    batch: images computed at once; None is what the network says.

  Returns:
    float32 `[N, F]` and `[N, M]`.

  Raises:
    ValueError: images of another shape, or not finite.
  """
  if tuple(images.shape[1:]) != features.image_shape:
    raise ValueError(
      f'images are {tuple(images.shape[1:])}, features {features.name!r} take '
      f'{features.image_shape}'
    )
  apply = _jitted(features.apply)
  batch = batch or features.batch
  n = images.shape[0]
  rows, probabilities = [], []
  for i in range(0, n, batch):
    block = np.asarray(images[i : i + batch])
    if block.dtype != np.uint8 and not np.all(np.isfinite(block)):
      raise ValueError(f'images {i} to {i + len(block) - 1} are not all finite')
    short = min(batch, n) - len(block)
    if short:
      block = np.concatenate([block, np.zeros_like(block[:1]).repeat(short, 0)])
    f, p = apply(features.params, block)
    rows.append(np.asarray(f)[: min(batch, n - i)])
    probabilities.append(np.asarray(p)[: min(batch, n - i)])
  return np.concatenate(rows), np.concatenate(probabilities)


def check(features: np.ndarray) -> np.ndarray:
  """The cloud in float64.

  Raises:
    ValueError: not `[N >= 2, F]`, or not finite.
  """
  features = np.asarray(features, np.float64)
  if features.ndim != 2 or len(features) < 2:
    raise ValueError(f'features {features.shape} are not [N >= 2, F]')
  if not np.all(np.isfinite(features)):
    raise ValueError('features are not all finite')
  return features


@functools.cache
def _jitted(apply):
  def run(
    params: types.Params, images: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    features, logits = apply(params, pixels.decode(images))
    return features, jax.nn.softmax(logits)

  return jax.jit(run)

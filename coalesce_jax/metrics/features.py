"""Computes features of images by feature networks.

Scores are comparable only between features of the same network. So every
network has a name, which is part of the score's name.

Shapes: N images, H, W, C image, F features, M classes.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.core import real_arrays
from coalesce_jax.core import types
from coalesce_jax.data import pixels


class Features(NamedTuple):
  """A feature network.

  Attributes:
    name: name of the network in the names of scores.
    apply: ``(params, images) -> (features, logits)``.
    params: parameters of the network.
    image_shape: (H, W, C) of its images.
    classes: number of classes; 0 if its logits are not those of classes.
    accuracy: accuracy on the test split of its data set; NaN if unknown.
    batch: number of images that are computed at once.
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
  """Computes features and class probabilities.

  Args:
    features: the network.
    images: `[N, H, W, C]`, uint8 or float in [-1, 1].
    batch: number of images computed at once; None is `features.batch`.

  Returns:
    features: float32 `[N, F]`.
    probabilities: float32 `[N, M]`.

  Raises:
    ValueError: the images have another shape or are not finite.
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
  """Checks features and returns them in float64.

  Raises:
    ValueError: the shape is not `[N >= 2, F >= 1]`, or values are no real
      numbers or not finite.
  """
  features = real_arrays.convert(features, 'features')
  if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
    raise ValueError(f'features {features.shape} are not [N >= 2, F >= 1]')
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

"""A small convolutional classifier whose features judge generated images.

Shapes: B batch, H, W, C image, F features, N classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import layers


class Classifier(nn.Module):
  """`[B, H, W, C]` -> features `[B, F]` and logits `[B, N]`.

  Convolutions of stride 2 down to at most 7 pixels (LeNet-like), one hidden
  layer of F features, one linear layer. No normalisation, so parameters are
  all there is.
  """

  classes: int
  features: int = 64
  width: int = 16

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    width, i = self.width, 0
    x = layers.swap(x)
    while i < 2 or (x.shape[1] > 7 and x.shape[1] % 2 == 0):
      x = nn.relu(layers.Conv(width, name=f'conv_{i}')(x))
      width, i = min(2 * width, 64), i + 1
    x = nn.relu(layers.Flat(self.features, name='features')(x))
    return x, layers.Dense(self.classes, scale=1.0, name='logits')(x)


class FeatureNetwork(NamedTuple):
  """Pure functions of a classifier.

  Attributes:
    init: ``key -> params``.
    apply: ``(params, images) -> (features [B, F], logits [B, N])``.
  """

  init: Callable[[types.PRNGKey], types.Params]
  apply: Callable[[types.Params, jax.Array], tuple[jax.Array, jax.Array]]


def make(
  image_shape: tuple[int, int, int],
  classes: int,
  features: int = 64,
  width: int = 16,
) -> FeatureNetwork:
  """A classifier for images of this shape."""
  module = Classifier(classes, features, width)

  def init(key: types.PRNGKey) -> types.Params:
    return module.init(key, jnp.zeros((1, *image_shape)))['params']

  def apply(
    params: types.Params, images: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    outputs: Any = module.apply({'params': params}, images)
    return outputs

  return FeatureNetwork(init, apply)

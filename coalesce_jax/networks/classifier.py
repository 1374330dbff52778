"""Defines a small convolutional classifier, whose features score images.

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
  """Maps images `[B, H, W, C]` to features `[B, F]` and logits `[B, N]`.

  At least two convolutions of stride 2 shrink the image to about 7 pixels, like
  in LeNet. A hidden layer of F features and a linear layer follow. There is no
  normalisation, so that parameters are the only state.
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
  """The pure functions of a classifier.

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
  """Makes a classifier.

  Args:
    image_shape: (H, W, C).
    classes: N.
    features: F.
    width: channels of the first convolution.
  """
  module = Classifier(classes, features, width)

  def init(key: types.PRNGKey) -> types.Params:
    return module.init(key, jnp.zeros((1, *image_shape)))['params']

  def apply(
    params: types.Params, images: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    outputs: Any = module.apply({'params': params}, images)
    return outputs

  return FeatureNetwork(init, apply)

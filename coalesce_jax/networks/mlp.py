"""Defines multilayer perceptrons for vectors and small images.

Shapes: B batch, Z latent, D dimensions of one flattened sample.
"""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import layers
from coalesce_jax.networks import lipschitz

ACTIVATIONS = {
  'relu': nn.relu,
  'leaky_relu': lambda x: nn.leaky_relu(x, 0.2),
  'tanh': jnp.tanh,
}


class Generator(nn.Module):
  """Maps latents `[B, Z]` to samples `[B, ...]` by a perceptron.

  An affine map of the latents is added to its output. So the generator
  represents every affine image of the latent distribution exactly, for example
  a shifted and scaled Gaussian.

  Attributes:
    data_shape: shape of one sample.
    hidden: sizes of the hidden layers.
    activation: one of `ACTIVATIONS`.
    output: 'linear' or 'tanh'.
    affine: whether there is an affine map.
  """

  data_shape: tuple[int, ...]
  hidden: tuple[int, ...]
  activation: str = 'relu'
  output: str = 'linear'
  affine: bool = True

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    size = math.prod(self.data_shape)
    x = z
    for i, width in enumerate(self.hidden):
      x = layers.Dense(width, name=f'dense_{i}')(x)
      x = ACTIVATIONS[self.activation](x)
    x = layers.Dense(size, scale=0.01, name='out')(x)
    if self.affine:
      x = x + layers.Dense(size, scale=1.0, name='affine')(z)
    if self.output == 'tanh':
      x = jnp.tanh(x)
    return x.reshape(-1, *self.data_shape)


class Critic(nn.Module):
  r"""Maps samples `[B, ...]` to values `[B]`.

  Attributes:
    hidden: sizes of the hidden layers.
    activation: one of `ACTIVATIONS`.
    centers: number of learned points, whose distances to the sample are further
      inputs of the last layer. Potentials are envelopes of such distances, and
      in many dimensions a perceptron needs very many units for one of them.
  """

  hidden: tuple[int, ...]
  activation: str = 'relu'
  centers: int = 0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = x.reshape(x.shape[0], -1)
    read = x
    for i, width in enumerate(self.hidden):
      x = layers.Dense(width, name=f'dense_{i}')(x)
      x = ACTIVATIONS[self.activation](x)
    if self.centers:
      shape = (self.centers, read.shape[1])
      points = self.param('centers', nn.initializers.normal(1.0), shape)
      x = jnp.concatenate([x, lipschitz.distances(read, points)], 1)
    return layers.Dense(1, scale=1.0, name='head')(x)[:, 0]

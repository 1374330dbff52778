"""Defines DCGAN generators and critics for square images, see `STAGES`.

Radford, Metz, Chintala, https://arxiv.org/abs/1511.06434. Batch normalisation
is left out for two reasons. A critic with a gradient penalty must not couple
samples (Sec. 4 of Gulrajani et al., https://arxiv.org/abs/1704.00028), and the
networks here have no state besides their parameters.

Shapes: B batch, Z latent, H, W, C image.
"""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import layers
from coalesce_jax.ops import conv

# Image size -> (size of the smallest map, number of doublings).
STAGES = {8: (2, 2), 28: (7, 2), 32: (4, 3), 64: (4, 4)}


class Generator(nn.Module):
  """Maps latents `[B, Z]` to images `[B, H, W, C]` in [-1, 1].

  A linear projection gives the smallest map, and each transposed convolution
  doubles its size.

  Attributes:
    size: H and W.
    channels: C.
    width: number of channels of the last map but one; every map before has
      twice as many as the next.
    norm: one of 'layer', 'pixel' and 'none', see `layers.Norm`.
    widths: number of channels of each map but the last; None is the rule of
      `width`.
  """

  size: int
  channels: int
  width: int
  norm: str = 'layer'
  widths: tuple[int, ...] | None = None

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    base, doublings = STAGES[self.size]
    widths = self.widths or tuple(
      self.width * 2**i for i in reversed(range(doublings))
    )
    x = layers.Project((base, base, widths[0]), name='project')(z)
    x = nn.relu(layers.Norm(self.norm, name='norm_0')(x))
    for i in range(1, doublings):
      x = layers.ConvTranspose(widths[i], name=f'up_{i}')(x)
      x = nn.relu(layers.Norm(self.norm, name=f'norm_{i}')(x))
    x = layers.swap(layers.ConvTranspose(self.channels, name='out')(x))
    return jnp.tanh(x)


class Critic(nn.Module):
  """Maps images `[B, H, W, C]` to values `[B]`.

  Each convolution halves the size of the map. A linear layer follows.
  """

  size: int
  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    _, doublings = STAGES[self.size]
    x = layers.swap(x)
    for i in range(doublings):
      x = layers.Conv(self.width * 2**i, name=f'conv_{i}')(x)
      x = nn.leaky_relu(x, 0.2)
    return layers.Flat(1, scale=1.0, name='head')(x)[:, 0]


class WganGpMnistGenerator(nn.Module):
  """The MNIST generator of WGAN-GP; with width 64 it is the published one.

  It maps latents `[B, Z]` to images `[B, 28, 28, 1]`. A projection gives a map
  of 4 pixels, and three transposed 5 x 5 convolutions double its size. The
  first of them is cropped from 8 to 7 pixels. There is no normalisation.

  Attributes:
    width: a quarter of the channels of the first map.
    widths: number of channels of the three maps; None is `width` times 4, 2, 1.
  """

  width: int
  widths: tuple[int, ...] | None = None

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    first, second, third = self.widths or tuple(
      self.width * n for n in (4, 2, 1)
    )
    x = nn.relu(layers.Project((4, 4, first), name='project')(z))
    for i, (features, size) in enumerate(
      [(second, 8), (third, 14), (1, 28)], 1
    ):
      x = layers.ConvTranspose(
        features,
        kernel_size=5,
        padding=conv.same_padding((size, size), 5, 2),
        size=(size, size),
        name='out' if i == 3 else f'up_{i}',
      )(x)
      if i < 3:
        x = nn.relu(x)
      if i == 1:
        x = x[:, :7, :7]
    # The published network ends in a sigmoid on [0, 1].
    return 2.0 * nn.sigmoid(layers.swap(x)) - 1.0


class WganGpMnistCritic(nn.Module):
  """The MNIST critic of WGAN-GP.

  Three 5 x 5 convolutions halve the size of the map. A linear layer follows.
  """

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = layers.swap(x)
    for i in range(3):
      x = layers.Conv(
        self.width * 2**i,
        kernel_size=5,
        padding=conv.same_padding((x.shape[1], x.shape[2]), 5, 2),
        name=f'conv_{i}',
      )(x)
      x = nn.leaky_relu(x, 0.2)
    return layers.Flat(1, scale=1.0, name='head')(x)[:, 0]


def check_images(
  name: str, data_shape: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
  """Checks that images are square and of a supported size.

  Args:
    name: name of the architecture, for the error message.
    data_shape: (H, W, C).
    sizes: the supported sizes.

  Raises:
    ValueError: they are not, or they do not have 1 or 3 channels.
  """
  good = len(data_shape) == 3 and data_shape[0] == data_shape[1]
  if not good or data_shape[0] not in sizes or data_shape[2] not in (1, 3):
    raise ValueError(
      f'{name} makes images of {" or ".join(map(str, sizes))} pixels with 1 or '
      f'3 channels, not {data_shape} ({math.prod(data_shape)} values)'
    )

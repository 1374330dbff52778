"""Defines the Linen layers that the architectures share.

Maps are `[C, H, W, B]`, with the channels first and the batch last, see
`conv`. Images and vectors have the batch first.

Shapes: B batch, Z latent, H, W map, C input channels, F output channels, k
kernel.
"""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.ops import conv
from coalesce_jax.ops import precision


def swap(x: jax.Array) -> jax.Array:
  """Transposes images `[B, H, W, C]` to maps `[C, H, W, B]`, or back."""
  return x.transpose(3, 1, 2, 0)


Init = Callable[..., jax.Array]

he_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class Conv(nn.Module):
  """`conv.conv2d` with a `kernel` `[k, k, C, F]` and a `bias` `[F]`."""

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: conv.Padding = 1
  use_bias: bool = True
  kernel_init: Init = he_normal

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel_size, self.kernel_size, x.shape[0], self.features)
    kernel = self.param('kernel', self.kernel_init, shape)
    y = conv.conv2d(x, kernel, stride=self.stride, padding=self.padding)
    if not self.use_bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return y + bias[:, None, None, None]


class ConvTranspose(nn.Module):
  """`conv.conv2d_transpose` with `kernel` `[k, k, C, F]` and `bias` `[F]`."""

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: conv.Padding = 1
  size: tuple[int, int] | None = None
  use_bias: bool = True
  kernel_init: Init | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel_size, self.kernel_size, x.shape[0], self.features)
    # An output depends on k^2 / stride^2 values of every input channel.
    scale = 2.0 * self.stride**2
    init = nn.initializers.variance_scaling(scale, 'fan_in', 'normal')
    kernel = self.param('kernel', self.kernel_init or init, shape)
    y = conv.conv2d_transpose(
      x, kernel, stride=self.stride, padding=self.padding, size=self.size
    )
    if not self.use_bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return y + bias[:, None, None, None]


class Project(nn.Module):
  """Maps latents `[B, Z]` linearly to a small map `[C, h, w, B]`.

  The parameters are a `kernel` `[Z, h, w, C]` and a `bias` `[C]`. A bias per
  pixel would be most of the bytes of a ternary generator, whose biases are
  float.
  """

  shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    init = nn.initializers.variance_scaling(
      2.0, 'fan_in', 'normal', in_axis=0, out_axis=(1, 2, 3)
    )
    kernel = self.param('kernel', init, (z.shape[-1], *self.shape))
    bias = self.param('bias', nn.initializers.zeros, (self.shape[-1],))
    kernel = kernel.transpose(0, 3, 1, 2)
    y = precision.dot(kernel.reshape(z.shape[-1], -1), z, 0, 1)
    y = y.reshape(*kernel.shape[1:], z.shape[0])
    return y + bias[:, None, None, None]


class Dense(nn.Module):
  """Computes `x @ kernel + bias` for x `[B, C]`."""

  features: int
  scale: float = 2.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.scale:
      init = nn.initializers.variance_scaling(self.scale, 'fan_in', 'normal')
    else:
      init = nn.initializers.zeros
    kernel = self.param('kernel', init, (x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return precision.dot(x, kernel, 1, 0) + bias[None]


class Flat(nn.Module):
  """Maps a whole map `[C, H, W, B]` linearly to features `[B, F]`.

  The parameters are a `kernel` `[H * W * C, F]`, whose rows are in the order of
  an image's values, and a `bias` `[F]`.
  """

  features: int
  scale: float = 2.0

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    channels, height, width, batch = x.shape
    init = nn.initializers.variance_scaling(self.scale, 'fan_in', 'normal')
    shape = (height * width * channels, self.features)
    kernel = self.param('kernel', init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    kernel = kernel.reshape(height, width, channels, self.features)
    kernel = kernel.transpose(2, 0, 1, 3).reshape(-1, self.features)
    return precision.dot(x.reshape(-1, batch), kernel, 0, 0) + bias[None]


def only(x: jax.Array, kept: jax.Array | None) -> jax.Array:
  """Multiplies maps `[C, H, W, B]` by `kept` `[C]`, where it is given."""
  return x if kept is None else x * kept[:, None, None, None]


def mean_of(
  x: jax.Array, axes: tuple[int, ...], kept: jax.Array | None
) -> jax.Array:
  """Returns means over channels and more axes, which stay as 1.

  Args:
    x: maps, `[C, H, W, B]`, 0 in the channels that are not kept.
    axes: axes, with 0 among them.
    kept: 1 for the channels that count and 0 for the others, `[C]`; None counts
      all.
  """
  mean = jnp.mean(x, axes, keepdims=True)
  return mean if kept is None else mean * (x.shape[0] / jnp.sum(kept))


class Norm(nn.Module):
  """Normalises a map without coupling the samples of a batch.

  * `'layer'`: mean and variance over C, H and W of one sample, Ba et al.,
    https://arxiv.org/abs/1607.06450.
  * `'pixel'`: root mean square over the channels of one pixel, Karras et al.,
    https://arxiv.org/abs/1710.10196.
  * `'none'`: no normalisation and no parameters.

  A `scale` and a `shift`, both `[C]`, are learned.

  With `kept` `[C]`, of values 1 and 0, the channels of 0 count in no mean, and
  are 0 before the shift. The others are those of a map without these channels.
  """

  kind: str

  @nn.compact
  def __call__(self, x: jax.Array, kept: jax.Array | None = None) -> jax.Array:
    if self.kind == 'none':
      return x
    if self.kind == 'pixel':
      x = only(x, kept)
      x = x * jax.lax.rsqrt(mean_of(x * x, (0,), kept) + 1e-6)
    else:
      axes = (0, 1, 2)
      x = only(x - mean_of(only(x, kept), axes, kept), kept)
      x = x * jax.lax.rsqrt(mean_of(x * x, axes, kept) + 1e-6)
    channels = (x.shape[0],)
    scale = self.param('scale', nn.initializers.ones, channels)
    shift = self.param('shift', nn.initializers.zeros, channels)
    return x * scale[:, None, None, None] + shift[:, None, None, None]

"""Linen layers shared by the architectures: convolutions by products, norms."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import conv

he_normal = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')


class Conv(nn.Module):
  """`conv.conv2d` with parameters `kernel` `[k, k, C, F]` and `bias` `[F]`."""

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: conv.Padding = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
    kernel = self.param('kernel', he_normal, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    y = conv.conv2d(x, kernel, stride=self.stride, padding=self.padding)
    return y + bias[None, None, None]


class ConvTranspose(nn.Module):
  """`conv.conv2d_transpose` with `kernel` `[k, k, C, F]` and `bias` `[F]`."""

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: conv.Padding = 1
  size: tuple[int, int] | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
    # Each output sees k^2 / stride^2 taps of every input channel.
    scale = 2.0 * self.stride**2
    init = nn.initializers.variance_scaling(scale, 'fan_in', 'normal')
    kernel = self.param('kernel', init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    y = conv.conv2d_transpose(
      x, kernel, stride=self.stride, padding=self.padding, size=self.size
    )
    return y + bias[None, None, None]


class Project(nn.Module):
  """Latents to a small image: `kernel` `[Z, h, w, C]`, `bias` `[C]`.

  One bias a channel, not a pixel: a ternary generator keeps its biases in
  float, and here they would be most of its bytes.
  """

  shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    init = nn.initializers.variance_scaling(
      2.0, 'fan_in', 'normal', in_axis=0, out_axis=(1, 2, 3)
    )
    kernel = self.param('kernel', init, (z.shape[-1], *self.shape))
    bias = self.param('bias', nn.initializers.zeros, (self.shape[-1],))
    y = z @ kernel.reshape(z.shape[-1], -1)
    return y.reshape(-1, *self.shape) + bias[None, None, None]


class Dense(nn.Module):
  """`x @ kernel + bias` on `[B, C]`."""

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
    return x @ kernel + bias[None]


class Norm(nn.Module):
  """Normalisation that couples no two samples of a batch.

  `'layer'`: mean and variance over one sample's H, W, C (Ba et al.,
  https://arxiv.org/abs/1607.06450); `'pixel'`: root mean square over the
  channels of one pixel (Karras et al., https://arxiv.org/abs/1710.10196);
  `'none'`. Scale and shift, `[C]`, are learned.
  """

  kind: str

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.kind == 'none':
      return x
    if self.kind == 'pixel':
      x = x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)
    else:
      axes = tuple(range(1, x.ndim))
      mean = jnp.mean(x, axes, keepdims=True)
      x = x - mean
      x = x * jax.lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + 1e-6)
    channels = (x.shape[-1],)
    lead = (None,) * (x.ndim - 1)
    scale = self.param('scale', nn.initializers.ones, channels)
    shift = self.param('shift', nn.initializers.zeros, channels)
    return x * scale[lead] + shift[lead]

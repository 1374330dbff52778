"""Defines the Linen layers that the translation networks share.

Maps are `[C, H, W, B]`, with the channels first and the batch last, see
`conv`.

Kernels start at normal numbers of deviation 0.02, and biases at 0, as those of
pix2pix do, Sec. 6.2 of Isola et al., https://arxiv.org/abs/1611.07004. A
convolution before a normalisation has no bias, because the normalisation has a
shift of its own.

Shapes: B batch, H, W map, C input channels, F output channels, k kernel.
"""

from collections.abc import Callable, Mapping
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import layers
from coalesce_jax.ops import conv
from coalesce_jax.parallel import batch_shards

NORMS = ('instance', 'group', 'layer', 'batch', 'none')
# Pixels (before, after) for rows and for columns.
Pads = tuple[tuple[int, int], tuple[int, int]]

UPSAMPLINGS = ('transposed', 'resize')

# The most channels that one group of `'group'` has.
GROUP = 16

_INIT = nn.initializers.normal(0.02)

Conv = functools.partial(layers.Conv, kernel_init=_INIT)
ConvTranspose = functools.partial(layers.ConvTranspose, kernel_init=_INIT)


class Norm(nn.Module):
  """Normalises a map.

  * `'instance'`: mean and variance over H and W of one channel of one sample,
    Ulyanov et al., https://arxiv.org/abs/1607.08022.
  * `'group'`: the same over groups of `GROUP` channels, or of the largest
    number below it that divides C, Wu and He,
    https://arxiv.org/abs/1803.08494.
  * `'layer'`: the same over all channels.
  * `'batch'`: mean and variance of one channel over H, W and the batch at hand,
    in training and at test. There are no running averages, so that a network
    has no state besides its parameters. A sample's result depends on the other
    samples of its batch; a batch of one sample is `'instance'`. pix2pix tests
    in this mode with batches of one image, and so does `models.translator`.
  * `'none'`: no normalisation and no parameters.

  A `scale` and a `shift`, both `[C]`, are learned.

  `kept` is for `'layer'`, see `layers.Norm`. Other norms of single channels do
  not depend on the other channels.

  Raises:
    ValueError: `'batch'` in a batch that is split over several devices, or
      `'group'` with `kept`.
  """

  kind: str = 'instance'

  @nn.compact
  def __call__(self, x: jax.Array, kept: jax.Array | None = None) -> jax.Array:
    if self.kind == 'none':
      return x
    if self.kind == 'group' and kept is not None:
      raise ValueError("norm 'group' cannot leave out channels")
    if self.kind == 'batch' and batch_shards.count() > 1:
      raise ValueError("norm 'batch' needs the whole batch on one device")
    channels, height, width, batch = x.shape
    scale = self.param('scale', nn.initializers.ones, (channels,))
    shift = self.param('shift', nn.initializers.zeros, (channels,))
    size = {
      'group': math.gcd(channels, GROUP),
      'layer': channels,
    }.get(self.kind, 1)
    axes = (1, 2, 3) if self.kind == 'batch' else (1, 2)
    if self.kind == 'layer' and kept is not None:
      axes = (0, 1, 2)
      y = layers.only(x, kept)
      y = layers.only(y - layers.mean_of(y, axes, kept), kept)
      y = y * jax.lax.rsqrt(layers.mean_of(y * y, axes, kept) + 1e-5)
      return y * scale[:, None, None, None] + shift[:, None, None, None]
    y = x.reshape(channels // size, size * height, width, batch)
    mean = jnp.mean(y, axes, keepdims=True)
    y = y - mean
    variance = jnp.mean(y * y, axes, keepdims=True)
    y = (y * jax.lax.rsqrt(variance + 1e-5)).reshape(x.shape)
    return y * scale[:, None, None, None] + shift[:, None, None, None]


class Up(nn.Module):
  """Doubles the size of a map by a convolution.

  * `'transposed'`: a transposed convolution of stride 2.
  * `'resize'`: every pixel becomes 2 x 2 pixels, then a 3 x 3 convolution. It
    avoids the checkerboards of transposed convolutions, Odena et al.,
    https://doi.org/10.23915/distill.00003. Neighbouring taps of the 3 x 3
    kernel meet the same pixel of the small map, so that both steps together
    are one transposed 4 x 4 convolution, which takes 4/9 of the products.
  """

  features: int
  kernel_size: int = 4
  upsampling: str = 'transposed'
  use_bias: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.upsampling == 'transposed':
      return ConvTranspose(
        self.features,
        kernel_size=self.kernel_size,
        size=(2 * x.shape[1], 2 * x.shape[2]),
        use_bias=self.use_bias,
        name='conv',
      )(x)
    shape = (3, 3, x.shape[0], self.features)
    kernel = self.param('kernel', _INIT, shape)
    y = conv.conv2d_transpose(x, doubled(kernel))
    if not self.use_bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    return y + bias[:, None, None, None]


def doubled(kernel: jax.Array) -> jax.Array:
  """Returns the transposed kernel of doubling pixels, then a convolution.

  Args:
    kernel: kernel of the convolution, `[3, 3, C, F]`.

  Returns:
    `[4, 4, C, F]`, of a transposed convolution of stride 2 and padding 1.
  """
  kernel = kernel[::-1, ::-1]
  for axis in (0, 1):
    edges = [(0, 0)] * 4
    edges[axis] = (1, 1)
    wide = jnp.pad(kernel, edges)
    kernel = jax.lax.slice_in_dim(wide, 0, -1, axis=axis) + (
      jax.lax.slice_in_dim(wide, 1, None, axis=axis)
    )
  return kernel


def dropout(
  x: jax.Array, rate: float, keys: jax.Array | None, layer: int
) -> jax.Array:
  """Sets values to 0 at random and scales the others up.

  Srivastava et al., https://jmlr.org/papers/v15/srivastava14a.html.

  Args:
    x: maps, `[C, H, W, B]`.
    rate: probability of 0. At rate 0 nothing happens.
    keys: data of one random key for each sample, `[B, 2]` uint32. Without keys
      nothing happens.
    layer: number of the layer. Layers have different random numbers.
  """
  if not rate or keys is None:
    return x

  def keep(key: jax.Array) -> jax.Array:
    key = jax.random.wrap_key_data(key, impl='threefry2x32')
    key = jax.random.fold_in(key, layer)
    return jax.random.bernoulli(key, 1.0 - rate, x.shape[:3])

  kept = jax.vmap(keep, out_axes=-1)(keys)
  return jnp.where(kept, x / (1.0 - rate), 0.0)


def split_inputs(inputs: Any) -> tuple[jax.Array, jax.Array | None]:
  """Returns the images to translate and the keys of dropout.

  Args:
    inputs: images `[B, H, W, C]`, or a mapping with images as `condition` and,
      for dropout, data of random keys `[B, 2]` as `noise`. Other entries are
      not read.
  """
  if isinstance(inputs, Mapping):
    return inputs['condition'], inputs.get('noise')
  return inputs, None


def on_multiples(
  images: jax.Array,
  multiple: int,
  least: int,
  translate: Callable[[jax.Array], jax.Array],
) -> jax.Array:
  """Translates images of any size by a network for multiples of a size.

  Images are padded by reflection, about equally on opposite sides, and the
  results are cropped.

  Args:
    images: `[B, H, W, C]`.
    multiple: divisor of the sides of padded images.
    least: smallest side of padded images, a multiple of `multiple`.
    translate: maps `[C, H', W', B]` to `[F, H', W', B]`.

  Returns:
    `[B, H, W, F]`.

  Raises:
    ValueError: a side has one pixel.
  """
  pads = padding(images.shape[1:3], multiple, least)
  x = reflected(layers.swap(images), pads)
  y = layers.swap(translate(x))
  (top, _), (left, _) = pads
  height, width = images.shape[1:3]
  return y[:, top : top + height, left : left + width]


def reflected(x: jax.Array, pads: Pads) -> jax.Array:
  """Pads maps `[C, H, W, B]` by reflection, without repeating the border.

  A pad larger than the map reflects repeatedly.
  """
  return jnp.pad(x, ((0, 0), *pads, (0, 0)), 'reflect')


def padding(size: tuple[int, ...], multiple: int, least: int) -> Pads:
  """Returns the pads of an image (H, W), see `on_multiples`.

  Raises:
    ValueError: a side has one pixel.
  """
  if any(n < 2 for n in size):
    raise ValueError(
      f'images of {size[0]} x {size[1]} pixels cannot be translated: a side '
      'needs at least 2 pixels'
    )
  # Sizes of exported programs may be symbols, which `max` cannot compare.
  wholes = [-(-n // multiple) * multiple for n in size]
  more = [
    (whole if whole >= least else least) - n
    for n, whole in zip(size, wholes, strict=True)
  ]
  top, left = (n // 2 for n in more)
  return (top, more[0] - top), (left, more[1] - left)

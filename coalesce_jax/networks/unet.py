r"""Defines the U-Net generator of pix2pix.

Convolutions of stride 2 halve a map n times; transposed convolutions double it
again. Before every doubling but the first, the map of the same size from the
way down is joined to it (a skip connection). Sec. 3.2.1 of Isola et al.,
https://arxiv.org/abs/1611.07004, with the network of their public code:

* Widths on the way down are `width` times 1, 2, 4, 8, 8, and so on.
* Down: leaky ReLU of slope 0.2, 4 x 4 convolution, norm. The first has neither
  ReLU nor norm, and the innermost has no norm: there the map may be one pixel,
  which an instance norm would set to 0.
* Up: ReLU, transposed 4 x 4 convolution, norm, dropout. The last has a tanh in
  place of norm and dropout.
* Dropout only in the blocks between maps of 8 widths, except the innermost.

The norms of the way up stand on maps of at least 2 x 2 pixels.

Shapes: B batch, H, W image, C input channels, F output channels.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import translation_layers as layers

# Widths grow up to this multiple.
_WIDEST = 8


def layer_widths(width: int, downs: int) -> tuple[int, ...]:
  """Returns the number of channels of all maps but the last.

  These are the maps of the way down and then those of the way up, in the order
  of the computation: `2 * downs - 1` values.

  Args:
    width: number of channels of the first map.
    downs: number of halvings.
  """
  down = [width * min(2**i, _WIDEST) for i in range(downs)]
  return (*down, *down[-2::-1])


class Generator(nn.Module):
  """Maps images `[B, H, W, C]` in [-1, 1] to images `[B, H, W, F]`.

  Sides that are no multiples of ``2 ** downs`` are padded by reflection, and
  the result is cropped.

  Attributes:
    channels: F.
    width: number of channels of the first map.
    downs: number of halvings.
    norm: one of `translation_layers.NORMS`.
    upsampling: one of `translation_layers.UPSAMPLINGS`.
    dropout: probability of dropout. It is active only if the input is a mapping
      with `noise`, see `translation_layers.split_inputs`. Without, a network is
      deterministic.
    widths: number of channels of each map, see `layer_widths`; None is the rule
      above.
  """

  channels: int
  width: int = 64
  downs: int = 6
  norm: str = 'instance'
  upsampling: str = 'transposed'
  dropout: float = 0.0
  widths: tuple[int, ...] | None = None

  @nn.compact
  def __call__(self, inputs: Any) -> jax.Array:
    images, noise = layers.split_inputs(inputs)
    multiple = 2**self.downs
    return layers.on_multiples(
      images, multiple, multiple, lambda x: self._translate(x, noise)
    )

  def _translate(self, x: jax.Array, noise: jax.Array | None) -> jax.Array:
    widths = self.widths or layer_widths(self.width, self.downs)
    ups = [*widths[self.downs :], self.channels]
    last = self.downs - 1
    maps = []
    for i, features in enumerate(widths[: self.downs]):
      normed = 0 < i < last and self.norm != 'none'
      x = nn.leaky_relu(x, 0.2) if i else x
      x = layers.Conv(features, use_bias=not normed, name=f'down_{i}')(x)
      if normed:
        x = layers.Norm(self.norm, name=f'down_norm_{i}')(x)
      maps.append(x)
    for i in range(last, -1, -1):
      normed = i > 0 and self.norm != 'none'
      if i < last:
        x = jnp.concatenate([maps[i], x])
      x = layers.Up(
        ups[last - i],
        upsampling=self.upsampling,
        use_bias=not normed,
        name=f'up_{i}',
      )(nn.relu(x))
      if normed:
        x = layers.Norm(self.norm, name=f'up_norm_{i}')(x)
      if i < last and 2 ** (i - 1) >= _WIDEST:
        x = layers.dropout(x, self.dropout, noise, i)
    return jnp.tanh(x)

r"""Defines the ResNet generator of CycleGAN.

A 7 x 7 convolution, two 3 x 3 convolutions of stride 2, residual blocks, two
transposed 3 x 3 convolutions, and a 7 x 7 convolution with tanh; a norm and
ReLU after each of the others. Convolutions of stride 1 pad by reflection.
Sec. 7.2 of Zhu et al., https://arxiv.org/abs/1703.10593, after Johnson et al.,
https://arxiv.org/abs/1603.08155, with the network of their public code.

The first half is the encoder of CUT, Park et al.,
https://arxiv.org/abs/2007.15651. Its layers have the numbers of their public
code:

| layer | map |
|---|---|
| 0 | the image |
| 4, 8 | after the first and the second convolution of stride 2 |
| 11 + n | after residual block n = 1, 2, ... |

CUT takes 0, 4, 8, 12 and 16. Its own network filters maps before they are
subsampled, which this one does not.

Shapes: B batch, H, W image, C input channels, F output channels.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.networks import layers as common
from coalesce_jax.networks import translation_layers as layers

# Widths are multiplied by 4 on the way to the residual blocks, whose maps have
# 1 / 4 of the side. Reflection and norms need maps of at least 2 x 2 pixels.
DOWNS = 2
LEAST = 8
# Number of the layer after the first residual block.
_FIRST_BLOCK = 12


def layer_numbers(blocks: int) -> tuple[int, ...]:
  """Returns the layers that have features, see the module.

  Args:
    blocks: number of residual blocks.
  """
  return 0, 4, 8, *range(_FIRST_BLOCK, _FIRST_BLOCK + blocks)


def layer_widths(width: int, blocks: int) -> tuple[int, ...]:
  """Returns the number of channels of all maps but the last.

  These are the maps of the first convolution, of the two of stride 2, of the
  first convolution of each residual block, and of the two transposed
  convolutions: `blocks + 5` values. The residual blocks share the width of the
  third map.

  Args:
    width: number of channels of the first map.
    blocks: number of residual blocks.
  """
  down = [width * 2**i for i in range(DOWNS + 1)]
  return (*down, *[down[-1]] * blocks, *down[-2::-1])


class Generator(nn.Module):
  """Maps images `[B, H, W, C]` in [-1, 1] to images `[B, H, W, F]`.

  Sides that are no multiples of 4, or less than 8, are padded by reflection,
  and the result is cropped.

  Attributes:
    channels: F.
    width: number of channels of the first map.
    blocks: number of residual blocks; CycleGAN takes 6 for images of 128
      pixels, 9 for 256.
    norm: one of `translation_layers.NORMS`.
    upsampling: one of `translation_layers.UPSAMPLINGS`.
    dropout: probability of dropout in the residual blocks, see
      `unet.Generator`.
    widths: number of channels of each map, see `layer_widths`; None is the rule
      above.
  """

  channels: int
  width: int = 64
  blocks: int = 6
  norm: str = 'instance'
  upsampling: str = 'transposed'
  dropout: float = 0.0
  widths: tuple[int, ...] | None = None

  @nn.compact
  def __call__(self, inputs: Any, numbers: tuple[int, ...] = ()) -> Any:
    """Translates images, or encodes them.

    Args:
      inputs: images, or a mapping, see `translation_layers.split_inputs`.
      numbers: numbers of layers; () translates.

    Returns:
      Images `[B, H, W, F]`; with layers instead one map `[B, H', W', C']` for
      each of them, of the padded image.
    """
    images, noise = layers.split_inputs(inputs)
    if not numbers:
      return layers.on_multiples(
        images, 2**DOWNS, LEAST,
        lambda x: self._decode(self._encode(x, noise)[-1]),
      )  # fmt: skip
    pads = layers.padding(images.shape[1:3], 2**DOWNS, LEAST)
    x = layers.reflected(common.swap(images), pads)
    maps = self._encode(x, noise, max(numbers))
    places = layer_numbers(self.blocks)
    return [common.swap(maps[places.index(n)]) for n in numbers]

  def _encode(
    self, x: jax.Array, noise: jax.Array | None, until: int | None = None
  ) -> list[jax.Array]:
    """Returns the maps of all layers up to the number `until`."""
    if until is None:
      until = layer_numbers(self.blocks)[-1]
    widths = self._widths()
    maps = [x]
    if until:
      x = self._reflected(x, widths[0], 7, 'stem')
      x = nn.relu(self._norm('stem_norm', x))
    for i in range(DOWNS):
      if until < 4 * (i + 1):
        return maps
      x = layers.Conv(
        widths[i + 1],
        kernel_size=3,
        use_bias=self.norm == 'none',
        name=f'down_{i}',
      )(x)
      maps.append(x)
      x = nn.relu(self._norm(f'down_norm_{i}', x))
    for i in range(until - _FIRST_BLOCK + 1):
      x = self._block(x, noise, i)
      maps.append(x)
    return maps

  def _block(self, x: jax.Array, noise: jax.Array | None, i: int) -> jax.Array:
    inner = self._widths()[1 + DOWNS + i]
    y = self._reflected(x, inner, 3, f'block_{i}_conv_0')
    y = nn.relu(self._norm(f'block_{i}_norm_0', y))
    y = layers.dropout(y, self.dropout, noise, i)
    y = self._reflected(y, x.shape[0], 3, f'block_{i}_conv_1')
    return x + self._norm(f'block_{i}_norm_1', y)

  def _decode(self, x: jax.Array) -> jax.Array:
    for i in range(DOWNS):
      x = layers.Up(
        self._widths()[i - DOWNS],
        kernel_size=3,
        upsampling=self.upsampling,
        use_bias=self.norm == 'none',
        name=f'up_{i}',
      )(x)
      x = nn.relu(self._norm(f'up_norm_{i}', x))
    return jnp.tanh(self._reflected(x, self.channels, 7, 'out', bias=True))

  def _widths(self) -> tuple[int, ...]:
    return self.widths or layer_widths(self.width, self.blocks)

  def _norm(self, name: str, x: jax.Array) -> jax.Array:
    return layers.Norm(self.norm, name=name)(x)

  def _reflected(
    self, x: jax.Array, features: int, size: int, name: str, bias: bool = False
  ) -> jax.Array:
    """Convolves a map, padded by reflection to keep its size."""
    edge = size // 2
    return layers.Conv(
      features,
      kernel_size=size,
      stride=1,
      padding=0,
      use_bias=bias or self.norm == 'none',
      name=name,
    )(layers.reflected(x, ((edge, edge), (edge, edge))))

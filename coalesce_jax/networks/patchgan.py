"""Defines the PatchGAN critic of pix2pix and CycleGAN.

It scores overlapping patches of an image, and nothing larger. Sec. 3.2.2 of
Isola et al., https://arxiv.org/abs/1611.07004, with the network of their public
code: 4 x 4 convolutions of stride 2, as many as `n_layers`, then two of stride
1. Widths are `width` times 1, 2, 4, 8, 8, and so on. A norm follows all but the
first and the last, and a leaky ReLU of slope 0.2 all but the last. A patch has
16, 34, 70, 142 or 286 pixels for 1 to 5 layers.

A critic of pairs sees condition and image as channels of one image.

Shapes: B batch, H, W, C image.
"""

from typing import Any

from flax import linen as nn
import jax

from coalesce_jax.networks import layers as common
from coalesce_jax.networks import option_checks
from coalesce_jax.networks import translation_layers as layers

MAX_CHANNELS = 64
MAX_LAYERS = 5
_WIDEST = 8


class Critic(nn.Module):
  """Maps images `[B, H, W, C]` to scores of patches, `[B, H', W']`.

  Attributes:
    width: number of channels of the first map.
    n_layers: number of convolutions of stride 2.
    norm: one of `translation_layers.NORMS`. `'batch'` makes the scores of a
      batch depend on each other, which a gradient penalty does not allow.
  """

  width: int = 64
  n_layers: int = 2
  norm: str = 'instance'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = common.swap(x)
    for i in range(self.n_layers + 1):
      normed = i > 0 and self.norm != 'none'
      x = layers.Conv(
        self.width * min(2**i, _WIDEST),
        stride=2 if i < self.n_layers else 1,
        use_bias=not normed,
        name=f'conv_{i}',
      )(x)
      if normed:
        x = layers.Norm(self.norm, name=f'norm_{i}')(x)
      x = nn.leaky_relu(x, 0.2)
    return layers.Conv(1, stride=1, name='head')(x)[0].transpose(2, 0, 1)


def critic(
  shape: tuple[int, ...],
  *,
  width: Any = 64,
  n_layers: Any = 2,
  norm: Any = 'instance',
) -> Critic:
  """Returns a critic after its options are checked.

  Args:
    shape: (H, W, C). The channels of a condition count.
    width: see `Critic`.
    n_layers: see `Critic`, from 1 to `MAX_LAYERS`.
    norm: see `Critic`.

  Raises:
    ValueError: an option is out of bounds, or images have another shape or are
      too small for so many layers.
  """
  if len(shape) != 3 or shape[2] > MAX_CHANNELS:
    raise ValueError(
      f'patchgan scores images (H, W, C) of at most {MAX_CHANNELS} channels, '
      f'not {shape}'
    )
  made = Critic(
    option_checks.width(width),
    option_checks.whole('n_layers', n_layers, 1, MAX_LAYERS),
    option_checks.choice('norm', norm, layers.NORMS),
  )
  # Two convolutions of stride 1 take one pixel each.
  least = 3 * 2**made.n_layers
  if min(shape[:2]) < least:
    advice = 'fewer layers' if made.n_layers > 1 else 'larger images'
    raise ValueError(
      f'patchgan with n_layers {made.n_layers} scores images of at least '
      f'{least} pixels a side, not {shape[0]} x {shape[1]}: take {advice}'
    )
  return made

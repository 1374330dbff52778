"""Makes translation networks by name.

A translator maps images to images of the same size. The options may come from
files of other nodes. Each one is therefore checked against bounds before a
network is built.

Shapes: B batch, H, W image, C input channels, F output channels.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import option_checks
from coalesce_jax.networks import resnet
from coalesce_jax.networks import translation_layers
from coalesce_jax.networks import unet

MAX_CHANNELS = 64
MAX_DOWNS = 8
MAX_BLOCKS = 12
# The layers that CUT compares, see `resnet`.
CUT_LAYERS = (0, 4, 8, 12, 16)


def _common(channels, width, norm, upsampling, dropout):
  dropout = option_checks.not_negative('dropout', dropout)
  if dropout >= 1.0:
    raise ValueError(f'dropout {dropout} is not in [0, 1)')
  return {
    'channels': channels,
    'width': option_checks.width(width),
    'norm': option_checks.choice('norm', norm, translation_layers.NORMS),
    'upsampling': option_checks.choice(
      'upsampling', upsampling, translation_layers.UPSAMPLINGS
    ),
    'dropout': dropout,
  }


def _unet(
  channels,
  *,
  width=64,
  downs=6,
  norm='instance',
  upsampling='transposed',
  dropout=0.0,
  widths=None,
):
  downs = option_checks.whole('downs', downs, 1, MAX_DOWNS)
  return unet.Generator(
    downs=downs,
    widths=option_checks.widths(widths, 2 * downs - 1),
    **_common(channels, width, norm, upsampling, dropout),
  )


def _resnet(
  channels,
  *,
  width=64,
  blocks=6,
  norm='instance',
  upsampling='transposed',
  dropout=0.0,
  widths=None,
):
  blocks = option_checks.whole('blocks', blocks, 1, MAX_BLOCKS)
  return resnet.Generator(
    blocks=blocks,
    widths=option_checks.widths(widths, blocks + 2 * resnet.DOWNS + 1),
    **_common(channels, width, norm, upsampling, dropout),
  )


TRANSLATORS: dict[str, Callable[..., nn.Module]] = {
  'resnet': _resnet,
  'unet': _unet,
}


def translator(
  name: str, *, in_channels: int, out_channels: int, **options: Any
) -> types.Network:
  """Returns a network from images `[B, H, W, C]` to images `[B, H, W, F]`.

  Images have any sides from 2 pixels and values in [-1, 1]. The input may also
  be a mapping, see `translation_layers.split_inputs`.

  Args:
    name: a key of `TRANSLATORS`.
    in_channels: C, from 1 to `MAX_CHANNELS`.
    out_channels: F, from 1 to `MAX_CHANNELS`.
    **options: options of the architecture, see `unet.Generator` and
      `resnet.Generator`.

  Returns:
    A network. Equal arguments give the same object.

  Raises:
    ValueError: the name or an option is unknown, or a value is out of bounds.
  """
  return _network(*_checked(name, in_channels, out_channels, options), ())


def padded_sides(name: str, options: Mapping[str, Any]) -> tuple[int, int]:
  """Returns (multiple, least): to which sides a translator pads images.

  Args:
    name: a key of `TRANSLATORS`.
    options: options of the architecture.

  Raises:
    ValueError: as of `translator`.
  """
  module, _ = _checked(name, 1, 1, dict(options))
  if isinstance(module, resnet.Generator):
    return 2**resnet.DOWNS, resnet.LEAST
  assert isinstance(module, unet.Generator)
  return 2**module.downs, 2**module.downs


def at_once(options: Mapping[str, Any], wanted: int) -> int:
  """Returns how many images may be translated at once at test.

  With norm 'batch' it is one, so that no image's result depends on others. This
  is how pix2pix tests, see `translation_layers.Norm`.

  Args:
    options: options of the architecture.
    wanted: the most images at once with another norm.
  """
  return 1 if options.get('norm') == 'batch' else wanted


def features(
  name: str,
  *,
  in_channels: int,
  out_channels: int,
  layers: tuple[int, ...] = CUT_LAYERS,
  **options: Any,
) -> types.Network:
  """Returns the encoder of a translator, with the translator's parameters.

  Args:
    name: 'resnet'.
    in_channels: C.
    out_channels: F.
    layers: numbers of layers, see `resnet`.
    **options: options of the architecture.

  Returns:
    A network from images `[B, H, W, C]` to a list with one map
    `[B, H', W', C']` for each layer. Its parameters are those of `translator`
    with the same arguments.

  Raises:
    ValueError: as of `translator`; the architecture has no such layers.
  """
  module, channels = _checked(name, in_channels, out_channels, options)
  if not isinstance(module, resnet.Generator):
    raise ValueError(f"network {name!r} has no encoder features; 'resnet' has")
  numbers = resnet.layer_numbers(module.blocks)
  if not layers or any(n not in numbers for n in layers):
    raise ValueError(f'layers {layers} are not all of {numbers}')
  return _network(module, channels, tuple(layers))


def _checked(name, in_channels, out_channels, options):
  name = option_checks.choice('translator', name, TRANSLATORS)
  for what, value in (
    ('in_channels', in_channels),
    ('out_channels', out_channels),
  ):
    option_checks.whole(what, value, 1, MAX_CHANNELS)
  try:
    return TRANSLATORS[name](out_channels, **options), in_channels
  except TypeError:
    raise ValueError(
      f'network {name!r} does not take the options {sorted(options)}'
    ) from None


@functools.lru_cache(maxsize=256)
def _network(
  module: nn.Module, channels: int, numbers: tuple[int, ...]
) -> types.Network:
  more = (numbers,) if numbers else ()

  def init(key: types.PRNGKey) -> types.Params:
    # The parameters of a network do not depend on the size of an image, and
    # nothing is computed of this one.
    image = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
    return module.lazy_init(key, image)['params']

  def apply(params: types.Params, inputs: Any) -> Any:
    outputs: Any = module.apply({'params': params}, inputs, *more)
    return outputs

  return types.Network(init, apply)

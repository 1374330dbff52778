r"""Counts the multiply-accumulates (MACs) of a network for one sample.

A convolution from C to F channels with a kernel of k x k pixels takes

.. math:: k^2 \, C F \, h w

of them, with two conventions for what h x w is.

* `'true'`: the products that have to be computed. For a transposed convolution
  h x w is the input.
* `'literature'`: h x w is always the output. A transposed convolution of stride
  2 then counts 4 times as many, most of them products with zeros that padding
  inserts. Published tables of GAN compression count so.

Products with pixels of padding count in both. Norms, biases and activations
count in neither. Numbers of a translator are for images of its
`condition_shape`, padded to the multiple that the network needs.

Shapes: C input channels, F output channels, k kernel, h, w map.
"""

from collections.abc import Callable, Mapping
import math
from typing import Any

from coalesce_jax.compress import channels
from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import tracing

CONVENTIONS = ('true', 'literature')
# Doubling the pixels and a 3 x 3 convolution are one transposed convolution
# with a kernel of 4 x 4, see `translation_layers.Up`.
_MERGED = 4 * 4 / (3 * 3)


def count(
  network: types.Network, shape: tuple[int, ...], convention: str = 'true'
) -> dict[str, int]:
  """Returns the MACs of each layer of any network, for one sample.

  Args:
    network: network of Linen modules.
    shape: shape of one input, without the batch.
    convention: one of `CONVENTIONS`.

  Returns:
    MACs by name of the layer, such as 'up_0/conv', in order of computation.

  Raises:
    ValueError: an unknown convention, or a layer that cannot be counted.
  """
  if convention not in CONVENTIONS:
    raise ValueError(f'convention {convention!r} is not one of {CONVENTIONS}')
  found: dict[str, int] = {}
  for call in tracing.calls(network, (1, *shape)):
    macs = math.prod(call.kernel) * _positions(call, convention)
    found[call.name] = found.get(call.name, 0) + round(macs)
  return found


def per_layer(
  spec: generator_lib.Spec, convention: str = 'true'
) -> dict[str, int]:
  """Returns the MACs of each layer of a generator or translator.

  A mixture computes a sample of each of its generators.

  Args:
    spec: the spec.
    convention: one of `CONVENTIONS`.

  Raises:
    ValueError: as of `count`; a mixture that moves latents by critics.
  """
  base, prefix = channels.node(spec)
  made = count(base.build(), _input(base), convention)
  nodes = dict(spec.options)['count'] if prefix else 1
  return {prefix + name: nodes * macs for name, macs in made.items()}


def total(spec: generator_lib.Spec, convention: str = 'true') -> int:
  """Returns the MACs of a generator or translator, see `per_layer`."""
  return sum(per_layer(spec, convention).values())


def of_masks(
  spec: generator_lib.Spec,
) -> Callable[[Mapping[str, Any]], Any]:
  """Returns the function `masks -> MACs` of a masked network.

  It counts the true MACs of the sliced network, and is differentiable in the
  masks, which are as those of `slicing.masked`.

  Args:
    spec: the spec.

  Raises:
    ValueError: as of `per_layer` and `channels.groups`.
  """
  layers, shapes = per_layer(spec), channels.shapes(spec)
  groups = channels.groups(spec)

  def kept(leaf: str, axis: int, masks: Mapping[str, Any]) -> Any:
    share, rest = 0.0, shapes[leaf][axis]
    for group in groups:
      for part in (*group.writes, *group.reads):
        if (part.leaf, part.axis) == (leaf, axis):
          share, rest = share + masks[group.name].sum(), rest - group.size
    return (share + rest) / shapes[leaf][axis]

  def macs(masks: Mapping[str, Any]) -> Any:
    return sum(
      each
      * kept(f'{layer}/kernel', -1, masks)
      * kept(f'{layer}/kernel', -2, masks)
      for layer, each in layers.items()
    )

  return macs


def _positions(call: tracing.Call, convention: str) -> float:
  """Returns how often a layer multiplies by each value of its kernel."""
  true = convention == 'true'
  if call.kind in ('Dense', 'Flat', 'Project'):
    return 1
  if call.kind == 'Conv':
    return math.prod(call.made[1:3])
  if call.kind == 'ConvTranspose':
    return math.prod((call.read if true else call.made)[1:3])
  if call.kind == 'Up':
    pixels = math.prod((call.read if true else call.made)[1:3])
    return pixels * _MERGED if true else pixels
  raise ValueError(f'layer {call.name} is a {call.kind}, which is not counted')


def _input(spec: generator_lib.Spec) -> tuple[int, ...]:
  return spec.condition_shape or (spec.latent_size,)

"""Finds which channels of a network belong together, for their removal.

A group is the channels of one map. Some layers write the map and others read
it: a convolution and its norm write, and the next convolution reads. Where maps
are added (the residual blocks of a ResNet), several layers write one group.
Where maps are joined (the skip connections of a U-Net), a layer reads several
groups, each from an offset on.

The groups of a network are in the order of its option `widths`, or `hidden` of
a perceptron.

Shapes: C channels of a group, F channels of the output of a layer, k kernel.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import dcgan
from coalesce_jax.networks import registry
from coalesce_jax.networks import resnet
from coalesce_jax.networks import translators
from coalesce_jax.networks import unet

# Axes of a kernel `[..., C, F]`. Negative axes also fit stacked kernels.
_OUT, _IN = -1, -2


class Part(NamedTuple):
  """Names the part of a leaf that belongs to a group.

  Attributes:
    leaf: name of the leaf.
    axis: axis of the channels, counted from the end.
    offset: index of the first channel of the group along the axis.
  """

  leaf: str
  axis: int
  offset: int = 0


class Group(NamedTuple):
  """Describes the channels of one map.

  Attributes:
    name: name of the first layer that writes the map.
    size: C.
    writes: parts whose channels become 0 when the map's become 0: kernels and
      biases of the layers that write it, scales and shifts of their norms.
    reads: parts of the kernels that read the map.
  """

  name: str
  size: int
  writes: tuple[Part, ...]
  reads: tuple[Part, ...]


class _Map(NamedTuple):
  """Names the layers that write and read a map; `reads` has offsets."""

  writes: tuple[str, ...]
  reads: Mapping[str, int]


def groups(spec: generator_lib.Spec) -> tuple[Group, ...]:
  """Returns the groups of a generator or translator.

  The image and the latents are in no group, and so keep their channels.

  Args:
    spec: the spec.

  Raises:
    ValueError: channels of the network cannot be removed, because it has the
      norm 'group' or is a mixture with critics.
  """
  base, prefix = node(spec)
  options = dict(base.options)
  if options.get('norm') == 'group':
    raise ValueError(
      "channels cannot be removed from a network with norm 'group': its groups "
      "would change; train it with norm 'instance', 'batch', 'layer' or 'none'"
    )
  if base.network not in _MAPS:
    raise ValueError(
      f'network {str(base.network)[:60]!r} has no groups of channels, '
      f'{sorted(_MAPS)} have'
    )
  leaves = shapes(spec)
  return tuple(
    _resolved(each, prefix, leaves)
    for each in _MAPS[base.network](module(base))
  )


def with_sizes(
  spec: generator_lib.Spec, sizes: Sequence[int]
) -> generator_lib.Spec:
  """Returns the spec of the network whose groups have these sizes.

  Args:
    spec: the spec.
    sizes: number of channels of each group, in the order of `groups`.

  Raises:
    ValueError: a size is out of bounds, or there is another number of them.
  """
  base, prefix = node(spec)
  option = 'hidden' if base.network == 'mlp' else 'widths'
  option = f'of_{option}' if prefix else option
  options = generator_lib.freeze(
    {**dict(spec.options), option: tuple(int(n) for n in sizes)}
  )
  changed = dataclasses.replace(spec, options=options)
  changed.build()
  return changed


def shapes(spec: generator_lib.Spec) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of a network's leaves by name; computes nothing."""
  made = jax.eval_shape(spec.build().init, jax.random.key(0))
  return {name: leaf.shape for name, leaf in trees.flatten(made).items()}


def node(spec: generator_lib.Spec) -> tuple[generator_lib.Spec, str]:
  """Returns the spec of one node, and the prefix of its leaves.

  A network that is no mixture is its own node.

  Raises:
    ValueError: the spec is of a mixture that moves latents by critics.
  """
  if spec.network != registry.MIXTURE:
    return spec, ''
  spec.build()
  options = dict(spec.options)
  if 'critic' in options:
    raise ValueError(
      'channels cannot be removed from a mixture that moves latents by critics'
    )
  return dataclasses.replace(
    spec,
    network=options['of'],
    options=generator_lib.freeze(registry.options_of('of', options)),
    latent_size=spec.latent_size - options['count'],
  ), 'nodes/'


def module(spec: generator_lib.Spec) -> Any:
  """Returns the Linen module of a network that is no mixture.

  Raises:
    ValueError: an unknown network, or options out of bounds.
  """
  spec.build()
  options = dict(spec.options)
  if spec.condition_shape is None:
    return registry.GENERATORS[spec.network](spec.image_shape, **options)
  made = translators.TRANSLATORS[spec.network]
  return made(spec.image_shape[-1], **options)


def _resolved(
  wanted: _Map, prefix: str, leaves: Mapping[str, tuple[int, ...]]
) -> Group:
  writes = [
    Part(prefix + name, _OUT)
    for layer in wanted.writes
    for name in (
      f'{layer}/kernel', f'{layer}/conv/kernel', f'{layer}/bias',
      f'{layer}/conv/bias', f'{layer}/scale', f'{layer}/shift',
    )
    if prefix + name in leaves
  ]  # fmt: skip
  reads = [
    Part(prefix + name, _IN, offset)
    for layer, offset in wanted.reads.items()
    for name in (f'{layer}/kernel', f'{layer}/conv/kernel')
    if prefix + name in leaves
  ]
  size = leaves[writes[0].leaf][_OUT]
  return Group(wanted.writes[0], size, tuple(writes), tuple(reads))


def _chain(layers: Sequence[str], norms: Sequence[str] = ()) -> list[_Map]:
  """Returns the maps between layers, each of which reads the one before."""
  return [
    _Map((layer, *norms[i : i + 1]), {layers[i + 1]: 0})
    for i, layer in enumerate(layers[:-1])
  ]


def _dcgan(net: Any) -> list[_Map]:
  doublings = dcgan.STAGES[net.size][1]
  ups = [f'up_{i}' for i in range(1, doublings)]
  return _chain(
    ['project', *ups, 'out'], [f'norm_{i}' for i in range(doublings)]
  )


def _wgan_gp_mnist(net: Any) -> list[_Map]:
  del net
  return _chain(['project', 'up_1', 'up_2', 'out'])


def _mlp(net: Any) -> list[_Map]:
  return _chain([*(f'dense_{i}' for i in range(len(net.hidden))), 'out'])


def _unet(net: Any) -> list[_Map]:
  downs, found = net.downs, []
  widths = net.widths or unet.layer_widths(net.width, downs)
  for i in range(downs):
    reads = {f'down_{i + 1}': 0} if i < downs - 1 else {}
    found.append(_Map((f'down_{i}', f'down_norm_{i}'), {**reads, f'up_{i}': 0}))
  for i in range(downs - 1, 0, -1):
    # The skip connection comes first in the joined map.
    reads = {f'up_{i - 1}': widths[i - 1]}
    found.append(_Map((f'up_{i}', f'up_norm_{i}'), reads))
  return found


def _resnet(net: Any) -> list[_Map]:
  blocks, last = range(net.blocks), resnet.DOWNS - 1
  found = _chain(
    ['stem', *(f'down_{i}' for i in range(resnet.DOWNS))],
    ['stem_norm', *(f'down_norm_{i}' for i in range(last))],
  )
  trunk = [f'down_{last}', f'down_norm_{last}']
  for i in blocks:
    trunk += [f'block_{i}_conv_1', f'block_{i}_norm_1']
  readers = [*(f'block_{i}_conv_0' for i in blocks), 'up_0']
  found.append(_Map(tuple(trunk), dict.fromkeys(readers, 0)))
  for i in blocks:
    conv, norm = f'block_{i}_conv_0', f'block_{i}_norm_0'
    found.append(_Map((conv, norm), {f'block_{i}_conv_1': 0}))
  ups = range(resnet.DOWNS)
  return found + _chain(
    [*(f'up_{i}' for i in ups), 'out'], [f'up_norm_{i}' for i in ups]
  )


_MAPS: dict[str, Callable[[Any], list[_Map]]] = {
  'dcgan': _dcgan,
  'mlp': _mlp,
  'resnet': _resnet,
  'unet': _unet,
  'wgan_gp_mnist': _wgan_gp_mnist,
}

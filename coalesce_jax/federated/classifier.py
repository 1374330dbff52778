"""Gated classifiers: a spec, its network, its cost, and one task's static copy.

A static copy lacks the channels that a task never opens. It has no gates, and
computes what the network computes with these channels closed.

Shapes: B batch, F filters of a gated convolution, H, W, C image, N classes.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.compress import channels
from coalesce_jax.compress import macs
from coalesce_jax.compress import slicing
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.networks import gated
from coalesce_jax.networks import gates as gates_lib
from coalesce_jax.networks import option_checks

NETWORKS = ('conv4', 'resnet')
MAX_CLASSES = 1000
MAX_SIDE = 512
# Groups of a norm: its statistics take a matrix of groups by channels.
MAX_GROUPS = 256
_CONVOLUTIONS = 4
_MAX_BLOCKS = 6


@dataclasses.dataclass(frozen=True)
class Spec:
  """Describes a gated classifier; its network can be rebuilt from it.

  Attributes:
    network: 'conv4' or 'resnet', see `networks.gated`.
    image_shape: (H, W, C) of images in [-1, 1].
    classes: N.
    width: filters of the first convolution.
    gates: 'input', 'static' or 'none', see `networks.gates`.
    per_group: channels of a group of the norms.
    blocks: residual blocks of 'resnet'; three are ResNet-8.
    widths: filters of each gated convolution; () is those of `width`.
    groups: sizes of the groups of each gated convolution's norm; () is groups
      of `per_group`.

  Raises:
    ValueError: a value is out of bounds.
  """

  network: str
  image_shape: tuple[int, ...]
  classes: int
  width: int = 32
  gates: str = 'input'
  per_group: int = 8
  blocks: int = 3
  widths: tuple[int, ...] = ()
  groups: tuple[tuple[int, ...], ...] = ()

  def __post_init__(self):
    option_checks.choice('network', self.network, NETWORKS)
    option_checks.choice('gates', self.gates, gates_lib.KINDS)
    for name, most in (
      ('classes', MAX_CLASSES), ('width', 1024), ('per_group', 1024),
      ('blocks', _MAX_BLOCKS),
    ):  # fmt: skip
      option_checks.whole(name, getattr(self, name), 1, most)
    if len(self.image_shape) != 3:
      raise ValueError(f'image shape {self.image_shape} is not (H, W, C)')
    for side in self.image_shape:
      option_checks.whole('a size of an image', side, 1, MAX_SIDE)
    if self.network == 'conv4' and self.image_shape[0] != self.image_shape[1]:
      raise ValueError(f'images {self.image_shape} of conv4 are not square')
    count = _CONVOLUTIONS if self.network == 'conv4' else self.blocks
    doubled = self.network == 'resnet'
    usual = [self.width * 2 ** (i * doubled) for i in range(count)]
    widths = option_checks.widths(self.widths or usual, count)
    assert widths is not None
    groups = self.groups or [gated.even(n, self.per_group) for n in widths]
    widest = max(*widths, usual[-1])
    option_checks.width(widest)
    least = -(-widest // MAX_GROUPS)
    option_checks.whole('per_group', self.per_group, least, 1024)
    if len(groups) != count:
      raise ValueError(f'{len(groups)} lists of groups for {count} norms')
    for sizes, width in zip(groups, widths, strict=True):
      option_checks.whole('number of groups', len(sizes), 1, MAX_GROUPS)
      found = [option_checks.whole('a group', n, 1, width) for n in sizes]
      if sum(found) != width:
        raise ValueError(f'groups {sizes} do not fill {width} channels')
    object.__setattr__(self, 'widths', widths)
    object.__setattr__(self, 'groups', tuple(tuple(s) for s in groups))

  def build(self) -> gated.Network:
    """Returns the network; equal specs give the same one."""
    return _build(self)


@functools.lru_cache(maxsize=64)
def _build(spec: Spec) -> gated.Network:
  shared = spec.groups, spec.gates
  module: Any
  if spec.network == 'conv4':
    module = gated.Conv4(spec.classes, spec.widths, *shared)
  else:
    module = gated.ResNet(
      spec.classes, spec.width, spec.widths, *shared, spec.per_group
    )
  return gated.network(module, spec.image_shape)


class Classifier(NamedTuple):
  """A classifier of a node.

  Attributes:
    spec: the spec.
    params: parameters of its network.
    names: names of the classes, of which there may be fewer than N.
  """

  spec: Spec
  params: types.Params
  names: tuple[str, ...] = ()

  def logits(self, images: Any) -> jax.Array:
    """Returns logits `[B, N]` of images `[B, H, W, C]` in [-1, 1]."""
    return _applied(self.spec)(self.params, jnp.asarray(images)).logits


@functools.lru_cache(maxsize=64)
def _applied(spec: Spec) -> Callable[..., gated.Outputs]:
  return jax.jit(spec.build().apply)


class Layer(NamedTuple):
  """The cost of a layer.

  Attributes:
    name: name of the layer.
    macs: multiply-accumulates for one image with all channels.
    reads: index of the gated convolution whose channels it reads, or None.
    writes: index of the gated convolution that it is, or None.
  """

  name: str
  macs: int
  reads: int | None
  writes: int | None


@functools.lru_cache(maxsize=64)
def layers(spec: Spec) -> tuple[Layer, ...]:
  """Returns the costs of all layers, those of the gates among them."""
  counted = macs.count(spec.build().layers, spec.image_shape)
  readers = {name: i for i, name in enumerate(_readers(spec))}
  return tuple(
    Layer(
      name, count, readers.get(name),
      int(name.removeprefix('conv_')) if name.startswith('conv_') else None,
    )
    for name, count in counted.items()
  )  # fmt: skip


def total(spec: Spec) -> int:
  """Returns the multiply-accumulates for one image with all channels."""
  return sum(layer.macs for layer in layers(spec))


def dense(spec: Spec) -> int:
  """Returns the multiply-accumulates of all channels without the gates."""
  return sum(x.macs for x in layers(spec) if not x.name.startswith('gate_'))


def used(
  spec: Spec, gates: Sequence[jax.Array], static: bool = False
) -> jax.Array:
  """Counts the multiply-accumulates that open channels take.

  A convolution takes the share of open channels that it reads times the share
  that it writes. The layers of gates count in full.

  Args:
    spec: the spec.
    gates: of each gated convolution 1 for open channels, `[F, B]`.
    static: whether the layers of gates do not count, as in a static copy.

  Returns:
    Multiply-accumulates of each image, `[B]`.
  """
  shares = [jnp.mean(gate, 0) for gate in gates]  # (F, B) -> (B)
  found = jnp.zeros_like(shares[0])
  for layer in layers(spec):
    if static and layer.name.startswith('gate_'):
      continue
    cost = jnp.full_like(found, layer.macs)
    for index in (layer.reads, layer.writes):
      cost = cost if index is None else cost * shares[index]
    found = found + cost
  return found


def open_share(spec: Spec, gates: Sequence[jax.Array]) -> jax.Array:
  """Returns the mean of gates, weighted by the cost of their convolutions.

  Args:
    spec: the spec.
    gates: see `used`.

  Returns:
    A number in [0, 1], `[]`.
  """
  cost = {x.writes: x.macs for x in layers(spec) if x.writes is not None}
  whole = sum(cost.values())
  parts = [cost[i] / whole * jnp.mean(gate) for i, gate in enumerate(gates)]
  return jnp.sum(jnp.stack(parts))


def static(
  spec: Spec, params: types.Params, masks: Sequence[np.ndarray]
) -> tuple[Spec, types.Params]:
  """Returns the network without closed channels and without gates.

  Args:
    spec: the spec.
    params: parameters of its network.
    masks: of each gated convolution booleans `[F]`, False for closed channels.

  Raises:
    ValueError: a mask has another shape or type, or keeps no channel.
  """
  groups = _groups(spec)
  named = {g.name: mask for g, mask in zip(groups, masks, strict=True)}
  kept = slicing.checked(groups, named)
  leaves = slicing.cut(trees.flatten(params[gated.BACKBONE]), groups, kept)
  sizes = []
  for group, each in zip(groups, spec.groups, strict=True):
    ends = np.cumsum(each)[:-1]
    counts = [int(part.sum()) for part in np.split(kept[group.name], ends)]
    sizes.append(tuple(n for n in counts if n))
  small = dataclasses.replace(
    spec, gates='none', groups=tuple(sizes),
    widths=tuple(int(mask.sum()) for mask in kept.values()),
  )  # fmt: skip
  return small, {gated.BACKBONE: trees.unflatten(leaves), gated.GATES: {}}


def usual(gates: Sequence[jax.Array]) -> list[np.ndarray]:
  """Returns which channels at least half of the images open, `[F]` each.

  Args:
    gates: see `used`. The channel that most images open stays open.
  """
  return [np.asarray(often(jnp.mean(gate, 1))) for gate in gates]


def often(shares: jax.Array) -> jax.Array:
  """Returns which channels of a convolution are open in at least half, `[F]`.

  Args:
    shares: share of images that opens each channel, `[F]`. The first of the
      largest shares stays open.
  """
  return (shares >= 0.5) | (jnp.arange(len(shares)) == jnp.argmax(shares))


def _readers(spec: Spec) -> list[str]:
  """Returns the layers that read the map of each gated convolution."""
  count = len(spec.widths)
  if spec.network == 'conv4':
    return [*(f'conv_{i}' for i in range(1, count)), 'logits']
  return [f'last_{i}' for i in range(count)]


def _groups(spec: Spec) -> tuple[channels.Group, ...]:
  """Returns the channels of each gated convolution, for their removal."""
  return tuple(
    channels.Group(
      f'conv_{i}', width,
      tuple(channels.Part(name, -1) for name in (
        f'conv_{i}/kernel', f'norm_{i}/scale', f'norm_{i}/shift'
      )),
      (channels.Part(f'{reader}/kernel', -2),),
    )
    for i, (width, reader) in enumerate(
      zip(spec.widths, _readers(spec), strict=True)
    )
  )  # fmt: skip

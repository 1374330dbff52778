"""Defines classifiers whose convolutions have gates that close channels.

A gated convolution computes y = g f(x): f is the convolution, its group norm
and the ReLU, and g is 1 for open channels and 0 for closed ones, see `gates`. A
closed channel counts in no statistic of a norm. The network without the closed
channels therefore computes the same.

Shapes: B batch, H, W, C image, F filters of a convolution, N classes.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import gates as gates_lib
from coalesce_jax.networks import layers

BACKBONE, GATES = 'backbone', 'gates'
# A smaller map is not halved.
_LEAST_SIDE = 4

Masks = gates_lib.Masks


class Outputs(NamedTuple):
  """Outputs of a classifier.

  Attributes:
    logits: `[B, N]`.
    gates: of each gated convolution 1 for open channels and 0 for others,
      `[F, B]`; all 1 where there are no gates.
  """

  logits: jax.Array
  gates: Masks


class Network(NamedTuple):
  """The functions of a classifier.

  Attributes:
    init: ``key -> params``, a dict of the trees 'backbone' and 'gates'.
    apply: ``(params, images, key=None, masks=None, noise=1.0) -> Outputs``.
      Images are `[B, H, W, C]` in [-1, 1]. The key is that of the noise, whose
      scale is `noise`; consumed; None is no noise. Masks `[F]` or `[F, B]`, one
      a gated convolution, stand in the place of all gates.
    layers: ``(params, images) -> Outputs`` with backbone and gates in one tree,
      whose names are those of the layers. It has no noise.
  """

  init: Callable[[types.PRNGKey], types.Params]
  apply: Callable[..., Outputs]
  layers: types.Network


class Conv4(nn.Module):
  """Maps images to logits by four gated convolutions and a linear layer.

  Convolutions of 3 x 3 pixels with stride 2, as in Finn et al.,
  https://arxiv.org/abs/1703.03400, with group norms in the place of batch
  norms. The linear layer reads every pixel of the last map; its kernel is
  `[h, h, F, N]`. Images are square.

  Attributes:
    classes: N.
    widths: filters of each convolution.
    groups: sizes of the groups of each norm.
    gates: one of `gates.KINDS`.
  """

  classes: int
  widths: tuple[int, ...]
  groups: tuple[tuple[int, ...], ...]
  gates: str

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    key: types.PRNGKey | None = None,
    masks: Masks | None = None,
    noise: float | jax.Array = 1.0,
  ) -> Outputs:
    x, found = layers.swap(x), []
    gates = gates_lib.Gates(self.gates, key, noise, masks)
    for i, width in enumerate(self.widths):
      gate = gates.of(i, x, width)
      stride = 2 if x.shape[1] >= _LEAST_SIDE else 1
      x = layers.Conv(width, 3, stride, use_bias=False, name=f'conv_{i}')(x)
      x = nn.relu(
        gates_lib.GroupNorm(self.groups[i], name=f'norm_{i}')(x, gate)
      )
      x, gate = gates_lib.close(x, gate)
      found.append(gate)
    # Zeros treat all labels alike, whatever their order.
    head = layers.Conv(
      self.classes, x.shape[1], 1, 0, kernel_init=nn.initializers.zeros,
      name='logits',
    )  # fmt: skip
    return Outputs(head(x)[:, 0, 0].T, tuple(found))


class ResNet(nn.Module):
  """Maps images to logits by residual blocks with a gated convolution each.

  A block has two convolutions of 3 x 3 pixels, He et al.,
  https://arxiv.org/abs/1512.03385; from the second block on the first of them
  has stride 2. The map between the two is gated. The sums of blocks have no
  gates: a channel of them is written by several blocks. Three blocks are
  ResNet-8.

  Attributes:
    classes: N.
    width: filters of the first convolution; every block but the first doubles
      them.
    widths: filters of the gated convolution of each block.
    groups: sizes of the groups of the norms of gated convolutions.
    gates: one of `gates.KINDS`.
    per_group: channels of a group of the other norms.
  """

  classes: int
  width: int
  widths: tuple[int, ...]
  groups: tuple[tuple[int, ...], ...]
  gates: str
  per_group: int

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    key: types.PRNGKey | None = None,
    masks: Masks | None = None,
    noise: float | jax.Array = 1.0,
  ) -> Outputs:
    found, gates = [], gates_lib.Gates(self.gates, key, noise, masks)
    conv = functools.partial(layers.Conv, use_bias=False)

    def norm(x: jax.Array, name: str) -> jax.Array:
      return gates_lib.GroupNorm(even(x.shape[0], self.per_group), name=name)(x)

    x = conv(self.width, 3, 1, name='stem')(layers.swap(x))
    x = nn.relu(norm(x, 'stem_norm'))
    for i, width in enumerate(self.widths):
      gate, stride = gates.of(i, x, width), 2 if i else 1
      y = conv(width, 3, stride, name=f'conv_{i}')(x)
      y = nn.relu(
        gates_lib.GroupNorm(self.groups[i], name=f'norm_{i}')(y, gate)
      )
      y, gate = gates_lib.close(y, gate)
      found.append(gate)
      wide = self.width * 2**i
      y = norm(conv(wide, 3, 1, name=f'last_{i}')(y), f'last_norm_{i}')
      if i:
        x = conv(wide, 1, stride, 0, name=f'shortcut_{i}')(x)
      x = nn.relu(x + y)
    x = jnp.mean(x, (1, 2)).T
    # Zeros treat all labels alike, whatever their order.
    logits = layers.Dense(self.classes, scale=0.0, name='logits')(x)
    return Outputs(logits, tuple(found))


def even(channels: int, size: int) -> tuple[int, ...]:
  """Returns sizes of groups of `size` channels; the last one may be smaller."""
  full, rest = divmod(channels, size)
  return (size,) * full + ((rest,) if rest else ())


def network(module: nn.Module, image_shape: tuple[int, ...]) -> Network:
  """Returns the functions of a module.

  Args:
    module: a `Conv4` or `ResNet`.
    image_shape: (H, W, C).
  """

  def start(key: types.PRNGKey) -> types.Params:
    return module.init(key, jnp.zeros((1, *image_shape)))['params']

  def init(key: types.PRNGKey) -> types.Params:
    params = start(key)
    split: dict[str, Any] = {BACKBONE: {}, GATES: {}}
    for name, tree in params.items():
      split[GATES if name.startswith('gate_') else BACKBONE][name] = tree
    return split

  def whole(params: types.Params, images: jax.Array) -> Outputs:
    outputs: Any = module.apply({'params': params}, images)
    return outputs

  def apply(
    params: types.Params,
    images: jax.Array,
    key: types.PRNGKey | None = None,
    masks: Masks | None = None,
    noise: float | jax.Array = 1.0,
  ) -> Outputs:
    joined = {**params[BACKBONE], **params[GATES]}
    outputs: Any = module.apply({'params': joined}, images, key, masks, noise)
    return outputs

  return Network(init, apply, types.Network(start, whole))

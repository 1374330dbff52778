r"""Adds adapters after the convolutions of a frozen network (CAM-GAN).

.. math:: o' = o + g_{3 \times 3}(a(o)) + p(a(o)) + \tanh(r(x))

For a convolution from x to o, g is a 3 x 3 convolution in groups of channels, p
a pointwise one, r a 3 x 3 convolution in groups (the residual bias), and a the
leaky ReLU. Varshney et al., "CAM-GAN", https://arxiv.org/abs/2103.04032. There
o itself does not pass; here it does, and adapters start at 0, so that training
starts from the frozen network. Where a convolution changes the size of maps, x
is resized linearly to that of o.

Shapes: B batch, C channels of x, F channels of o, h, w maps.
"""

from collections.abc import Callable
import functools
import math
import re
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.networks import layers
from coalesce_jax.networks import translation_layers
from coalesce_jax.ops import conv

# All convolutions. The kernel of a projection has four axes as well.
KERNELS = r'(?!project/).*kernel'
_ADAPTED = (layers.Conv, layers.ConvTranspose, translation_layers.Up)


def init(
  base: types.Params,
  *,
  leaves: str = KERNELS,
  group: int = 8,
  bias: bool = True,
) -> types.Params:
  """Returns new adapters, a dict of their kernels for each layer.

  A layer `a/b` has the name `a.b`. Kernels are `group` `[3, 3, ., F]`,
  `pointwise` `[1, 1, F, F]` and `bias` `[3, 3, ., F]`. All are zero.

  Args:
    base: parameters of the frozen network.
    leaves: pattern of the names of kernels `[k, k, C, F]` whose convolutions
      get an adapter.
    group: most output channels of a group; smaller groups are cheaper.
    bias: whether there are residual biases.

  Raises:
    ValueError: the pattern matches no kernel, or one without four axes.
  """
  found: dict[str, Any] = {}
  for name, kernel in trees.flatten(base).items():
    if not re.fullmatch(leaves, name):
      continue
    if kernel.ndim != 4:
      raise ValueError(f'{name} {kernel.shape} is no kernel of a convolution')
    inward, outward = kernel.shape[2:]
    made = {
      'group': jnp.zeros((3, 3, outward // _groups(outward, outward, group),
                          outward)),
      'pointwise': jnp.zeros((1, 1, outward, outward)),
    }  # fmt: skip
    if bias:
      width = inward // _groups(inward, outward, group)
      made['bias'] = jnp.zeros((3, 3, width, outward))
    found[name.rpartition('/')[0].replace('/', '.')] = made
  if not found:
    raise ValueError(f'pattern {leaves!r} matches no kernel')
  return found


def _groups(inward: int, outward: int, size: int) -> int:
  """Returns the number of groups: each has about `size` output channels."""
  return math.gcd(inward, outward // math.gcd(outward, size))


@functools.lru_cache(maxsize=64)
def adapted(network: types.Network) -> types.Network:
  """Returns the network whose parameters are `{'base': ..., 'adapters': ...}`.

  Args:
    network: network of Linen modules. It raises ValueError where an adapter
      belongs to no convolution.
  """

  def apply(params: types.Params, inputs: Any) -> Any:
    adapters, used = params['adapters'], set()

    def intercept(
      following: Callable[..., Any], args: Any, kwargs: Any, context: Any
    ) -> Any:
      made = following(*args, **kwargs)
      module = context.module
      if context.method_name != '__call__' or not isinstance(module, _ADAPTED):
        return made
      name = '.'.join(module.path)
      if name not in adapters:
        return made
      used.add(name)
      return _adapt(adapters[name], args[0], made)

    with nn.intercept_methods(intercept):
      outputs = network.apply(params['base'], inputs)
    unused = sorted(set(adapters) - used)
    if unused:
      raise ValueError(f'adapters {unused} belong to no convolution')
    return outputs

  return types.Network(network.init, apply)


def _adapt(kernels: Any, x: jax.Array, o: jax.Array) -> jax.Array:
  active = nn.leaky_relu(o, 0.2)
  y = o + _grouped(active, kernels['group'])
  y = y + _grouped(active, kernels['pointwise'])
  if 'bias' in kernels:
    y = y + jnp.tanh(_grouped(_sized(x, o.shape[1:3]), kernels['bias']))
  return y


def _grouped(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves maps `[C, h, w, B]` in groups, and keeps their size."""
  size, _, width, features = kernel.shape
  groups, pad = x.shape[0] // width, size // 2
  maps = x.reshape(groups, width, *x.shape[1:])
  each = kernel.reshape(size, size, width, groups, features // groups)
  convolve = functools.partial(conv.conv2d, padding=pad)
  return jax.vmap(convolve, (0, 3))(maps, each).reshape(-1, *x.shape[1:])


def _sized(x: jax.Array, size: tuple[int, ...]) -> jax.Array:
  """Returns maps resized linearly."""
  if x.shape[1:3] == size:
    return x
  shape = (x.shape[0], *size, x.shape[3])
  return jax.image.resize(x, shape, 'linear', antialias=True)

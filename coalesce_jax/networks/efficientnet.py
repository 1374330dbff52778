r"""Computes features of colour images with EfficientNet-Lite0.

The network is a sequence of inverted bottlenecks. Each is a pointwise, a
depthwise and a pointwise convolution; the input is added if shapes agree:

.. math:: y = [x +] \; W_3 \, r(w_2 * r(W_1 x + b_1) + b_2) + b_3,
  \qquad r(x) = \min(\max(x, 0), 6)

Table 1 of Tan and Le, https://arxiv.org/abs/1905.11946. The Lite variant has no
squeeze and excitation, and ReLU6 instead of swish. A batch normalisation with
fixed statistics is an affine map. It is folded into the kernel and the bias of
the convolution before it.

Kernels are `[k, k, C, F]`; those of depthwise convolutions are `[k, k, 1, C]`.

Shapes: B batch, H, W map, C input channels, F output channels, k kernel,
M classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from coalesce_jax.ops import conv
from coalesce_jax.ops import precision

STEM = 32
HEAD = 1280
CLASSES = 1000


class Block(NamedTuple):
  """The sizes of one inverted bottleneck.

  Attributes:
    kernel: k of the depthwise convolution.
    stride: stride of the depthwise convolution.
    expansion: channels of the depthwise convolution per input channel.
    inputs: input channels.
    outputs: output channels.
  """

  kernel: int
  stride: int
  expansion: int
  inputs: int
  outputs: int

  @property
  def inner(self) -> int:
    """Number of channels of the depthwise convolution."""
    return self.inputs * self.expansion


def _blocks() -> tuple[Block, ...]:
  # Columns: repeats, kernel, first stride, expansion, output channels.
  stages = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
  )
  blocks, inputs = [], STEM
  for repeats, kernel, stride, expansion, channels in stages:
    for i in range(repeats):
      first = stride if i == 0 else 1
      blocks.append(Block(kernel, first, expansion, inputs, channels))
      inputs = channels
  return tuple(blocks)


LITE0 = _blocks()


def kernels(blocks: Sequence[Block] = LITE0) -> dict[str, tuple[int, ...]]:
  """Returns all kernel shapes by path, for example `'block_00/depthwise'`."""
  found: dict[str, tuple[int, ...]] = {'stem': (3, 3, 3, blocks[0].inputs)}
  for i, block in enumerate(blocks):
    size, inner = block.kernel, block.inner
    if block.expansion != 1:
      found[f'block_{i:02d}/expand'] = (1, 1, block.inputs, inner)
    found[f'block_{i:02d}/depthwise'] = (size, size, 1, inner)
    found[f'block_{i:02d}/project'] = (1, 1, inner, block.outputs)
  return found | {'head': (1, 1, blocks[-1].outputs, HEAD)}


def apply(
  params: Any, x: jax.Array, blocks: Sequence[Block] = LITE0
) -> tuple[jax.Array, jax.Array]:
  """Computes features and logits.

  Args:
    params: `kernel` and `bias` `[F]` at each path of `kernels`, and at `logits`
      a `kernel` `[F, M]` and a `bias` `[M]`.
    x: images, `[B, H, W, 3]`, scaled as the parameters expect.
    blocks: the architecture.

  Returns:
    features: `[B, F]`, the mean of the last map over pixels.
    logits: `[B, M]`, the last layer's output.
  """
  kernel = params['stem']['kernel']
  x = lax.conv_general_dilated(
    x,
    kernel,
    (2, 2),
    conv.same_padding((x.shape[1], x.shape[2]), kernel.shape[0], 2),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=lax.Precision.HIGHEST,
  )
  x = jax.nn.relu6(_shift(x, params['stem']['bias']))
  for i, block in enumerate(blocks):
    x = bottleneck(params[f'block_{i:02d}'], x, block)
  x = jax.nn.relu6(_pointwise(params['head'], x))
  features = jnp.mean(x, (1, 2))
  last = params['logits']
  logits = precision.matmul(features, last['kernel']) + last['bias'][None]
  return features, logits


def bottleneck(params: Any, x: jax.Array, block: Block) -> jax.Array:
  """Computes one inverted bottleneck.

  Args:
    params: parameters `expand` (absent if the expansion is 1), `depthwise` and
      `project`.
    x: a map, `[B, H, W, C]`.
    block: sizes of the bottleneck.

  Returns:
    A map `[B, H', W', F]`, whose sides are those of `x` divided by the stride
    and rounded up.
  """
  y = x
  if block.expansion != 1:
    y = jax.nn.relu6(_pointwise(params['expand'], y))
  y = depthwise(y, params['depthwise']['kernel'], block.stride)
  y = jax.nn.relu6(_shift(y, params['depthwise']['bias']))
  y = _pointwise(params['project'], y)
  return x + y if block.stride == 1 and block.inputs == block.outputs else y


def depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """Convolves each channel with its own kernel, with TensorFlow's `'SAME'`.

  It is computed as a sum of shifted maps. On a CPU this is 3 to 27 times as
  fast as XLA's grouped convolution, and it is in float32 on all devices.

  Args:
    x: a map, `[B, H, W, C]`.
    kernel: `[k, k, 1, C]`.
    stride: the stride in both directions.

  Returns:
    A map `[B, H', W', C]`.
  """
  batch, height, width, channels = x.shape
  size = kernel.shape[0]
  pads = conv.same_padding((height, width), size, stride)
  out = [-(-n // stride) for n in (height, width)]
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  total = jnp.zeros((batch, *out, channels), x.dtype)
  for i in range(size):
    for j in range(size):
      rows, columns = (
        start + (n - 1) * stride + 1
        for start, n in zip((i, j), out, strict=True)
      )
      part = lax.slice(
        x,
        (0, i, j, 0),
        (batch, rows, columns, channels),
        (1, stride, stride, 1),
      )
      total += part * kernel[i, j][None, None]
  return total


def _pointwise(params: Any, x: jax.Array) -> jax.Array:
  y = precision.matmul(x.reshape(-1, x.shape[-1]), params['kernel'][0, 0])
  return _shift(y.reshape(*x.shape[:-1], -1), params['bias'])


def _shift(x: jax.Array, bias: jax.Array) -> jax.Array:
  return x + bias[None, None, None]

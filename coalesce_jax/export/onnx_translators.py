r"""ONNX graphs of translators, for images of any size; see `onnx_layers`.

A graph pads images by reflection to the multiple that its network needs and
crops the result (`onnx_padding`). Between the two it has the layers of
`networks.unet` and `networks.resnet` without dropout, which is active in
training only.

Shapes: B batch, H, W image, C, D channels of images and results, F channels of
a map. Feature maps are `[B, F, H, W]` within a graph.
"""

from collections.abc import Callable
import math
from typing import Any

import numpy as np
import onnx

from coalesce_jax.core import trees
from coalesce_jax.export import names
from coalesce_jax.export import onnx_graphs
from coalesce_jax.export import onnx_layers as layers
from coalesce_jax.export import onnx_padding as padding
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.networks import resnet
from coalesce_jax.networks import translation_layers
from coalesce_jax.networks import translators

KINDS = {
  **onnx_graphs.KINDS,
  'int8': onnx_graphs.Kind(np.int8, names.OPSETS['int8']),
}
INPUT, OUTPUT = 'condition', 'images'
# Names of the sizes that may vary.
SIZES = ('batch', 'height', 'width')

Graph = layers.Graph


def model(
  translator: translator_lib.Translator, weights: str
) -> onnx.ModelProto:
  """Makes a model that the checker of ONNX accepts.

  Args:
    translator: one translator, without ensemble axes.
    weights: one of `KINDS`. 'int8' rounds every kernel.

  Returns:
    A model from `condition` `[B, H, W, C]` to `images` `[B, H, W, D]`, both in
    [-1, 1].

  Raises:
    ValueError: a leaf is not ternary although the spec says so.
  """
  spec, kind = translator.spec, KINDS[weights]
  assert spec.condition_shape is not None
  params = {
    name: np.asarray(value, np.float32)
    for name, value in trees.flatten(translator.params).items()
  }
  if weights == 'int8':
    granularity = dict.fromkeys(names.kernels(params), 'channel')
  elif kind.type is not None:
    ternary = spec.encodings['ternary']
    granularity = dict.fromkeys(ternary['leaves'], ternary['granularity'])
  else:
    granularity = {}
  graph = Graph(
    params=params,
    granularity=granularity,
    type=kind.type,
    opset=kind.opset,
    nodes=[],
    tensors=[],
    z=INPUT,
  )
  options = dict(spec.options)
  module = translators.TRANSLATORS[spec.network](
    spec.image_shape[-1], **options
  )
  sides = translators.padded_sides(spec.network, options)
  x, frame = padding.pad(graph, INPUT, *sides)
  padding.crop(graph, _WRITERS[spec.network](graph, x, module), frame)
  return layers.finish(
    graph,
    spec.network,
    [*SIZES, spec.condition_shape[-1]],
    (OUTPUT, [*SIZES, spec.image_shape[-1]]),
  )


def _write_unet(graph: Graph, x: str, module: Any) -> str:
  last, maps = module.downs - 1, []
  for i in range(module.downs):
    if i:
      x = layers.node(graph, 'LeakyRelu', x, alpha=0.2)
    x = layers.convolve(graph, x, f'down_{i}', 2, 1)
    if 0 < i < last:
      x = _norm(graph, x, f'down_norm_{i}', module.norm)
    maps.append(x)
  for i in range(last, -1, -1):
    if i < last:
      x = layers.node(graph, 'Concat', maps[i], x, axis=1)
    x = layers.node(graph, 'Relu', x)
    x = _up(graph, x, f'up_{i}', module.upsampling, (1, 1))
    if i:
      x = _norm(graph, x, f'up_norm_{i}', module.norm)
  return layers.node(graph, 'Tanh', x)


def _write_resnet(graph: Graph, x: str, module: Any) -> str:
  def normed(x: str, name: str, relu: bool = True) -> str:
    x = _norm(graph, x, name, module.norm)
    return layers.node(graph, 'Relu', x) if relu else x

  x = normed(_reflected(graph, x, 'stem', 7), 'stem_norm')
  for i in range(resnet.DOWNS):
    x = layers.convolve(graph, x, f'down_{i}', 2, 1)
    x = normed(x, f'down_norm_{i}')
  for i in range(module.blocks):
    y = _reflected(graph, x, f'block_{i}_conv_0', 3)
    y = normed(y, f'block_{i}_norm_0')
    y = _reflected(graph, y, f'block_{i}_conv_1', 3)
    y = normed(y, f'block_{i}_norm_1', relu=False)
    x = layers.node(graph, 'Add', x, y)
  for i in range(resnet.DOWNS):
    # Kernels of 3 pixels leave out the last row and column of doubled maps.
    x = _up(graph, x, f'up_{i}', module.upsampling, (1, 0))
    x = normed(x, f'up_norm_{i}')
  return layers.node(graph, 'Tanh', _reflected(graph, x, 'out', 7))


def _reflected(graph: Graph, x: str, name: str, size: int) -> str:
  """Writes a convolution that pads by reflection and keeps the size."""
  edge = size // 2
  pads = layers.constant(graph, [0, 0, edge, edge] * 2, np.int64)
  x = layers.node(graph, 'Pad', x, pads, mode='reflect')
  return layers.convolve(graph, x, name)


def _up(
  graph: Graph, x: str, name: str, kind: str, pads: tuple[int, int]
) -> str:
  """Writes `translation_layers.Up`: `[B, C, H, W]` -> doubled maps."""
  if kind == 'transposed':
    return layers.double(graph, x, f'{name}/conv', pads)
  scales = layers.constant(graph, [1.0, 1.0, 2.0, 2.0])
  x = layers.node(graph, 'Resize', x, '', scales)
  return layers.convolve(graph, x, name, 1, 1)


def _norm(graph: Graph, x: str, name: str, kind: str) -> str:
  """Writes `translation_layers.Norm` on `[B, C, H, W]`."""
  if kind == 'none':
    return x
  channels = graph.params[f'{name}/scale'].size
  if kind == 'instance':
    return layers.node(
      graph,
      'InstanceNormalization',
      x,
      layers.leaf(graph, f'{name}/scale', (0,)),
      layers.leaf(graph, f'{name}/shift', (0,)),
      epsilon=1e-5,
    )
  if kind == 'group':
    average = _group_mean(graph, channels)
  else:
    axes = [0, 2, 3] if kind == 'batch' else [1, 2, 3]
    average = layers.mean(graph, axes)
  x = layers.normalize(graph, x, average, True, 1e-5)
  return layers.rescale(graph, x, name)


def _group_mean(graph: Graph, channels: int) -> Callable[[str], str]:
  """Returns a function that writes means over groups of channels, H and W.

  It maps `[B, C, H, W]` to `[B, C, 1, 1]` by shapes that do not depend on H and
  W: channels are averaged first.
  """
  size = math.gcd(channels, translation_layers.GROUP)
  pixels, group = layers.mean(graph, [2, 3]), layers.mean(graph, [2])
  ones = layers.constant(graph, np.ones((size, 1)))

  def write(x: str) -> str:
    x = layers.reshape(graph, pixels(x), (0, channels // size, size, 1))
    x = layers.node(graph, 'Mul', group(x), ones)
    return layers.reshape(graph, x, (0, channels, 1, 1))

  return write


_WRITERS: dict[str, Callable[[Graph, str, Any], str]] = {
  'resnet': _write_resnet,
  'unet': _write_unet,
}
# All operators between padding and cropping.
OPERATORS = frozenset({
  'Add', 'Concat', 'Conv', 'ConvTranspose', 'DequantizeLinear', 'Div',
  'InstanceNormalization', 'LeakyRelu', 'Min', 'Mul', 'Pad', 'ReduceMean',
  'Relu', 'Reshape', 'Resize', 'Sqrt', 'Sub', 'Tanh',
})  # fmt: skip

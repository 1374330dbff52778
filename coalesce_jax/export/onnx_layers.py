r"""Layers of ONNX graphs, and the leaves that they read.

A ternary leaf is one initialiser of codes -1, 0 and 1 in two bits (INT2), or in
four bits for older runtimes (INT4). `DequantizeLinear` multiplies the codes `q`
by scales. With magnitudes `p` and `n` of positive and negative weights,

.. math::
  w = \max(q p, 0) + \min(q n, 0), \quad q \in \{-1, 0, 1\}

holds exactly. A leaf that is rounded to 8 bits is one initialiser of codes from
-127 to 127 (INT8) with one scale for each output channel. All other leaves are
float32.

Shapes: B batch, C, F channels, H, W image. Feature maps are `[B, C, H, W]`
within a graph.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper

from coalesce_jax.models import packing
from coalesce_jax.transforms import int8

# The operator ReduceMean takes its axes as an input from here on.
_AXES_AS_INPUT = 18
# Of `layers.Norm`: what is added to a mean square, and the leaves.
_EPSILON = 1e-6
_RESCALES = ('scale', 'shift')


class Graph(NamedTuple):
  """Holds a graph while it is written.

  Attributes:
    params: float32 leaves by name.
    granularity: 'layer' or 'channel', by name of each leaf to write as codes.
    type: type of the codes.
    opset: version of the standard operators.
    nodes: nodes so far, in the order in which they run.
    tensors: initialisers so far.
    z: name of the input: latents `[B, Z]`, or images `[B, H, W, C]`.
    prefix: start of the names of initialisers.
  """

  params: dict[str, np.ndarray]
  granularity: dict[str, str]
  type: Any
  opset: int
  nodes: list[onnx.NodeProto]
  tensors: list[onnx.TensorProto]
  z: str
  prefix: str = ''


def dense(graph: Graph, x: str, name: str) -> str:
  """Writes `layers.Dense`: `[B, C]` -> `[B, F]`."""
  kernel = leaf(graph, f'{name}/kernel', (0, 1))
  return node(graph, 'Gemm', x, kernel, leaf(graph, f'{name}/bias', (0,)))


def project(graph: Graph, size: tuple[int, int]) -> str:
  """Writes `layers.Project`: latents `[B, Z]` -> `[B, C, *size]`."""
  latent, *_, channels = graph.params['project/kernel'].shape
  rows = latent, channels * size[0] * size[1]
  kernel = leaf(graph, 'project/kernel', (0, 3, 1, 2), rows)
  x = node(graph, 'MatMul', graph.z, kernel)
  x = reshape(graph, x, (0, channels, *size))
  bias = leaf(graph, 'project/bias', (0,), (channels, 1, 1))
  return node(graph, 'Add', x, bias)


def finish(
  graph: Graph, name: str, start: Sequence[Any], end: tuple[str, Sequence[Any]]
) -> onnx.ModelProto:
  """Makes a model that the checker of ONNX accepts of a whole graph.

  Args:
    graph: the graph. Its last node is the output.
    name: name of the graph.
    start: shape of the input; a text names a size that may vary.
    end: name and shape of the output.
  """
  graph.nodes[-1].output[0] = end[0]
  opset = [helper.make_opsetid('', graph.opset)]
  z, images = (
    helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, shape)
    for value, shape in ((graph.z, start), end)
  )
  made = helper.make_model(
    helper.make_graph(
      graph.nodes, name, [z], [images], initializer=graph.tensors
    ),
    opset_imports=opset,
    ir_version=helper.find_min_ir_version_for(opset),
    producer_name='coalesce_jax',
  )
  onnx.checker.check_model(made, full_check=True)
  return made


def convolve(
  graph: Graph, x: str, name: str, stride: int = 1, pad: int = 0
) -> str:
  """Writes `layers.Conv`: `[B, C, H, W]` -> `[B, F, H', W']`."""
  return node(
    graph,
    'Conv',
    x,
    leaf(graph, f'{name}/kernel', (3, 2, 0, 1)),
    *_bias(graph, name),
    strides=[stride, stride],
    pads=[pad] * 4,
  )


def double(graph: Graph, x: str, name: str, pads: tuple[int, int]) -> str:
  """Writes `layers.ConvTranspose` of stride 2: `[B, C, H, W]` -> doubled maps.

  Args:
    graph: the graph.
    x: name of the input.
    name: name of the layer.
    pads: padding before and after, the same along H and W.
  """
  return node(
    graph,
    'ConvTranspose',
    x,
    leaf(graph, f'{name}/kernel', (2, 3, 0, 1)),
    *_bias(graph, name),
    strides=[2, 2],
    pads=[pads[0], pads[0], pads[1], pads[1]],
  )


def _bias(graph: Graph, name: str) -> list[str]:
  """Writes the bias of a convolution, if it has one."""
  name = f'{name}/bias'
  return [leaf(graph, name, (0,))] if name in graph.params else []


def norm(
  graph: Graph, x: str, name: str, kind: str, size: tuple[int, int]
) -> str:
  """Writes `layers.Norm` on `[B, C, H, W]`.

  Args:
    graph: the graph.
    x: name of the input.
    name: name of the layer.
    kind: 'layer', 'pixel' or 'none'.
    size: (H, W).
  """
  if kind == 'none':
    return x
  if kind == 'layer':
    # One operator, where its parts would be nine.
    shape = graph.params[f'{name}/scale'].size, *size
    scales = (_expanded(graph, f'{name}/{k}', shape) for k in _RESCALES)
    return node(
      graph, 'LayerNormalization', x, *scales, axis=1, epsilon=_EPSILON
    )
  x = normalize(graph, x, mean(graph, [1]), False, _EPSILON)
  return rescale(graph, x, name)


def _expanded(graph: Graph, name: str, shape: tuple[int, int, int]) -> str:
  """Writes a leaf of C numbers for each pixel; runtimes do it at load."""
  x = leaf(graph, name, (0,), (shape[0], 1, 1))
  return node(graph, 'Expand', x, constant(graph, shape, np.int64))


def normalize(
  graph: Graph,
  x: str,
  average: Callable[[str], str],
  centred: bool,
  epsilon: float,
) -> str:
  """Writes a division by the root mean square.

  Args:
    graph: the graph.
    x: name of the input.
    average: writes the mean of a value, see `mean`.
    centred: whether the mean is subtracted first.
    epsilon: added to the mean square.
  """
  if centred:
    x = node(graph, 'Sub', x, average(x))
  square = average(node(graph, 'Mul', x, x))
  square = node(graph, 'Add', square, constant(graph, epsilon))
  return node(graph, 'Div', x, node(graph, 'Sqrt', square))


def rescale(graph: Graph, x: str, name: str) -> str:
  """Writes the scale and the shift of a norm, on `[B, C, H, W]`."""
  shape = (graph.params[f'{name}/scale'].size, 1, 1)
  scale, shift = (leaf(graph, f'{name}/{k}', (0,), shape) for k in _RESCALES)
  return node(graph, 'Add', node(graph, 'Mul', x, scale), shift)


def mean(graph: Graph, axes: list[int]) -> Callable[[str], str]:
  """Returns a function that writes the mean over axes, which stay as 1."""
  if graph.opset < _AXES_AS_INPUT:
    return lambda x: node(graph, 'ReduceMean', x, axes=axes)
  name = constant(graph, axes, np.int64)
  return lambda x: node(graph, 'ReduceMean', x, name)


def swap(graph: Graph, x: str) -> str:
  """Transposes feature maps to images, `[B, H, W, C]`."""
  return node(graph, 'Transpose', x, perm=[0, 2, 3, 1])


def leaf(
  graph: Graph,
  name: str,
  axes: tuple[int, ...],
  shape: tuple[int, ...] | None = None,
) -> str:
  """Writes a leaf with permuted axes, then reshaped; returns its name."""
  value = graph.params[name]
  moved = value.transpose(axes)
  shape = moved.shape if shape is None else shape
  if name not in graph.granularity:
    return constant(graph, moved.reshape(shape), name=graph.prefix + name)
  if graph.type is np.int8:
    codes, scale = map(np.asarray, int8.codes(value))
    codes, scales = codes.transpose(axes), scale[None]
  else:
    scales = packing.pack(value, graph.granularity[name]).scales
    codes = np.sign(moved)
  if codes.ndim == 2:
    # Runtimes fuse a product with codes of two axes into an operator that
    # rounds the other factor to 8 bits.
    codes = codes[..., None]
  axis = axes.index(value.ndim - 1)
  if scales.shape[1] == 1:
    # One scale a row: ONNX Runtime before 1.27 gives wrong weights for a
    # single scale with a reshape after it.
    axis, scales = 0, np.repeat(scales, len(codes), 1)
  stored = constant(graph, codes, graph.type, graph.prefix + name)
  parts = [
    node(graph, 'DequantizeLinear', stored, constant(graph, row), axis=axis)
    for row in scales
  ]
  x = parts[0]
  if len(parts) == 2:
    x = node(graph, 'Relu', x)
    low = node(graph, 'Min', parts[1], constant(graph, 0.0))
    x = node(graph, 'Add', x, low)
  return x if codes.shape == shape else reshape(graph, x, shape)


def reshape(graph: Graph, x: str, shape: tuple[int, ...]) -> str:
  """Reshapes; a size of 0 keeps the size of that axis."""
  return node(graph, 'Reshape', x, constant(graph, shape, np.int64))


def constant(
  graph: Graph, value: Any, dtype: Any = np.float32, name: str = ''
) -> str:
  """Writes an initialiser; returns its name."""
  array = np.asarray(value).astype(dtype)
  # Short names keep files small.
  name = name or f'c{len(graph.tensors)}'
  graph.tensors.append(numpy_helper.from_array(array, name))
  return name


def node(graph: Graph, operator: str, *inputs: str, **attributes: Any) -> str:
  """Writes an operator of one output; returns the name of that output."""
  output = f'n{len(graph.nodes)}'
  graph.nodes.append(
    helper.make_node(operator, list(inputs), [output], **attributes)
  )
  return output

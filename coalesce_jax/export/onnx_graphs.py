r"""ONNX graphs of generators, written layer by layer.

A ternary leaf is one initialiser of codes -1, 0 and 1 in two bits (INT2, opset
25), or in four bits for older runtimes (INT4, opset 21). `DequantizeLinear`
multiplies the codes `q` by scales. With magnitudes `p` and `n` of positive and
negative weights,

.. math::
  w = \max(q p, 0) + \min(q n, 0), \quad q \in \{-1, 0, 1\}

holds exactly. All other leaves are float32.

Shapes: B batch, Z latent, C, F channels, H, W image, D dimensions of a vector.
Feature maps are `[B, C, H, W]` within a graph.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper

from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import packing
from coalesce_jax.networks import dcgan
from coalesce_jax.networks import registry
from coalesce_jax.ops import conv


class Kind(NamedTuple):
  """Says how a graph holds weights.

  Attributes:
    type: type of the codes of ternary leaves, or None if these are float32 too.
    opset: the lowest version of the standard operators that has the type.
  """

  type: Any
  opset: int


KINDS = {
  'int2': Kind(ml_dtypes.int2, 25),
  'int4': Kind(ml_dtypes.int4, 21),
  'float32': Kind(None, 18),
}
INPUT, OUTPUT, BATCH = 'z', 'images', 'batch'


class Graph(NamedTuple):
  """Holds a graph while it is written.

  Attributes:
    params: float32 leaves by name.
    granularity: 'layer' or 'channel', by name of each leaf to write as codes.
    type: type of the codes.
    nodes: nodes so far, in the order in which they run.
    tensors: initialisers so far.
  """

  params: dict[str, np.ndarray]
  granularity: dict[str, str]
  type: Any
  nodes: list[onnx.NodeProto]
  tensors: list[onnx.TensorProto]


def model(generator: generator_lib.Generator, weights: str) -> onnx.ModelProto:
  """Makes a model that the checker of ONNX accepts.

  Args:
    generator: one generator, without ensemble axes.
    weights: one of `KINDS`.

  Returns:
    A model from `z` `[B, Z]` to `images` `[B, H, W, C]` or `[B, D]`.

  Raises:
    ValueError: the network has no graph, or a leaf is not ternary although the
      spec says so.
  """
  spec, kind = generator.spec, KINDS[weights]
  if spec.network not in _WRITERS:
    raise ValueError(
      f'network {spec.network!r} has no ONNX graph, {sorted(_WRITERS)} have'
    )
  ternary = spec.encodings['ternary'] if kind.type is not None else {}
  graph = Graph(
    params={
      name: np.asarray(value, np.float32)
      for name, value in trees.flatten(generator.params).items()
    },
    granularity={
      name: ternary['granularity'] for name in ternary.get('leaves', ())
    },
    type=kind.type,
    nodes=[],
    tensors=[],
  )
  module = registry.GENERATORS[spec.network](
    spec.image_shape, **dict(spec.options)
  )
  _WRITERS[spec.network](graph, module)
  graph.nodes[-1].output[0] = OUTPUT
  shapes = {INPUT: (spec.latent_size,), OUTPUT: spec.image_shape}
  z, images = (
    helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *shape])
    for name, shape in shapes.items()
  )
  opset = [helper.make_opsetid('', kind.opset)]
  made = helper.make_model(
    helper.make_graph(
      graph.nodes, spec.network, [z], [images], initializer=graph.tensors
    ),
    opset_imports=opset,
    ir_version=helper.find_min_ir_version_for(opset),
    producer_name='coalesce_jax',
  )
  onnx.checker.check_model(made, full_check=True)
  return made


def _write_dcgan(graph: Graph, module: Any) -> None:
  base, doublings = dcgan.STAGES[module.size]
  x = _project(graph, (base, base))
  x = _node(graph, 'Relu', _norm(graph, x, 'norm_0', module.norm))
  for i in range(1, doublings):
    x = _double(graph, x, f'up_{i}', (1, 1))
    x = _node(graph, 'Relu', _norm(graph, x, f'norm_{i}', module.norm))
  x = _double(graph, x, 'out', (1, 1))
  _node(graph, 'Tanh', _swap(graph, x))


def _write_wgan_gp_mnist(graph: Graph, module: Any) -> None:
  del module
  x = _node(graph, 'Relu', _project(graph, (4, 4)))
  low, high = conv.same_padding((8, 8), 5, 2)[0]
  # Padding of a transposed convolution crops: one more here leaves 7 pixels.
  x = _node(graph, 'Relu', _double(graph, x, 'up_1', (low, high + 1)))
  x = _node(graph, 'Relu', _double(graph, x, 'up_2', (low, high)))
  x = _swap(graph, _double(graph, x, 'out', (low, high)))
  x = _node(graph, 'Sigmoid', x)
  x = _node(graph, 'Mul', x, _constant(graph, 2.0))
  _node(graph, 'Sub', x, _constant(graph, 1.0))


def _write_mlp(graph: Graph, module: Any) -> None:
  x = INPUT
  for i in range(len(module.hidden)):
    x = _dense(graph, x, f'dense_{i}')
    operator, attributes = _ACTIVATIONS[module.activation]
    x = _node(graph, operator, x, **attributes)
  x = _dense(graph, x, 'out')
  if module.affine:
    x = _node(graph, 'Add', x, _dense(graph, INPUT, 'affine'))
  if module.output == 'tanh':
    x = _node(graph, 'Tanh', x)
  _reshape(graph, x, (0, *module.data_shape))


_WRITERS: dict[str, Callable[[Graph, Any], None]] = {
  'dcgan': _write_dcgan,
  'mlp': _write_mlp,
  'wgan_gp_mnist': _write_wgan_gp_mnist,
}
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
  'relu': ('Relu', {}),
  'leaky_relu': ('LeakyRelu', {'alpha': 0.2}),
  'tanh': ('Tanh', {}),
}
# All operators that a graph may have.
OPERATORS = frozenset({
  'Add', 'ConvTranspose', 'DequantizeLinear', 'Div', 'Gemm', 'LeakyRelu',
  'MatMul', 'Min', 'Mul', 'ReduceMean', 'Relu', 'Reshape', 'Sigmoid', 'Sqrt',
  'Sub', 'Tanh', 'Transpose',
})  # fmt: skip


def _dense(graph: Graph, x: str, name: str) -> str:
  """Writes `layers.Dense`: `[B, C]` -> `[B, F]`."""
  kernel = _leaf(graph, f'{name}/kernel', (0, 1))
  return _node(graph, 'Gemm', x, kernel, _leaf(graph, f'{name}/bias', (0,)))


def _project(graph: Graph, size: tuple[int, int]) -> str:
  """Writes `layers.Project`: latents `[B, Z]` -> `[B, C, *size]`."""
  latent, *_, channels = graph.params['project/kernel'].shape
  rows = latent, channels * size[0] * size[1]
  kernel = _leaf(graph, 'project/kernel', (0, 3, 1, 2), rows)
  x = _node(graph, 'MatMul', INPUT, kernel)
  x = _reshape(graph, x, (0, channels, *size))
  bias = _leaf(graph, 'project/bias', (0,), (channels, 1, 1))
  return _node(graph, 'Add', x, bias)


def _double(graph: Graph, x: str, name: str, pads: tuple[int, int]) -> str:
  """Writes `layers.ConvTranspose` of stride 2: `[B, C, H, W]` -> doubled maps.

  Args:
    graph: the graph.
    x: name of the input.
    name: name of the layer.
    pads: padding before and after, the same along H and W.
  """
  return _node(
    graph,
    'ConvTranspose',
    x,
    _leaf(graph, f'{name}/kernel', (2, 3, 0, 1)),
    _leaf(graph, f'{name}/bias', (0,)),
    strides=[2, 2],
    pads=[pads[0], pads[0], pads[1], pads[1]],
  )


def _norm(graph: Graph, x: str, name: str, kind: str) -> str:
  """Writes `layers.Norm` on `[B, C, H, W]`."""
  if kind == 'none':
    return x
  axes = _constant(graph, [1] if kind == 'pixel' else [1, 2, 3], np.int64)
  if kind == 'layer':
    x = _node(graph, 'Sub', x, _node(graph, 'ReduceMean', x, axes))
  square = _node(graph, 'ReduceMean', _node(graph, 'Mul', x, x), axes)
  square = _node(graph, 'Add', square, _constant(graph, 1e-6))
  x = _node(graph, 'Div', x, _node(graph, 'Sqrt', square))
  shape = (graph.params[f'{name}/scale'].size, 1, 1)
  x = _node(graph, 'Mul', x, _leaf(graph, f'{name}/scale', (0,), shape))
  return _node(graph, 'Add', x, _leaf(graph, f'{name}/shift', (0,), shape))


def _swap(graph: Graph, x: str) -> str:
  """Transposes feature maps to images, `[B, H, W, C]`."""
  return _node(graph, 'Transpose', x, perm=[0, 2, 3, 1])


def _leaf(
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
    return _constant(graph, moved.reshape(shape), name=name)
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
  stored = _constant(graph, codes, graph.type, name)
  parts = [
    _node(graph, 'DequantizeLinear', stored, _constant(graph, row), axis=axis)
    for row in scales
  ]
  x = parts[0]
  if len(parts) == 2:
    x = _node(graph, 'Relu', x)
    low = _node(graph, 'Min', parts[1], _constant(graph, 0.0))
    x = _node(graph, 'Add', x, low)
  return x if codes.shape == shape else _reshape(graph, x, shape)


def _reshape(graph: Graph, x: str, shape: tuple[int, ...]) -> str:
  """Reshapes; a size of 0 keeps the size of that axis."""
  return _node(graph, 'Reshape', x, _constant(graph, shape, np.int64))


def _constant(
  graph: Graph, value: Any, dtype: Any = np.float32, name: str = ''
) -> str:
  array = np.asarray(value).astype(dtype)
  # Short names keep files small.
  name = name or f'c{len(graph.tensors)}'
  graph.tensors.append(numpy_helper.from_array(array, name))
  return name


def _node(graph: Graph, operator: str, *inputs: str, **attributes: Any) -> str:
  output = f'n{len(graph.nodes)}'
  graph.nodes.append(
    helper.make_node(operator, list(inputs), [output], **attributes)
  )
  return output

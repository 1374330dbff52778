r"""ONNX graphs of generators, written layer by layer.

A ternary leaf is one initialiser of -1, 0 and 1 in two bits (INT2, opset 25) or
four (INT4, opset 21, for older runtimes), and `DequantizeLinear` gives it its
scales. With magnitudes `p` and `n` of positive and negative weights

.. math::
  w = \max(q p, 0) + \min(q n, 0), \quad q \in \{-1, 0, 1\}

exactly. Everything else is float32.

Shapes: B batch, Z latent, C channels, H, W image. Maps are `[B, C, H, W]` here.
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
  """How weights are written.

  Attributes:
    type: NumPy's type of the codes; None: ternary leaves in float32 too.
    opset: version of the standard operators, the lowest that will do.
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
  """A graph while it is written.

  Attributes:
    params: leaves by name.
    granularity: that of each leaf which is written as codes.
    type: of the codes.
    nodes: so far, in the order in which they run.
    tensors: initialisers so far.
  """

  params: dict[str, np.ndarray]
  granularity: dict[str, str]
  type: Any
  nodes: list[onnx.NodeProto]
  tensors: list[onnx.TensorProto]


def model(generator: generator_lib.Generator, weights: str) -> onnx.ModelProto:
  """A checked model from `z` `[B, Z]` to `images` `[B, H, W, C]` or `[B, D]`.

  Args:
    generator: one generator, without ensemble axes.
    weights: one of `KINDS`.

  Raises:
    ValueError: a network without a graph, or leaves that are not ternary though
      the spec says so.
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
  # More padding is cropping: here to 7 pixels.
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
# All that a graph may consist of.
OPERATORS = frozenset({
  'Add', 'ConvTranspose', 'DequantizeLinear', 'Div', 'Gemm', 'LeakyRelu',
  'MatMul', 'Min', 'Mul', 'ReduceMean', 'Relu', 'Reshape', 'Sigmoid', 'Sqrt',
  'Sub', 'Tanh', 'Transpose',
})  # fmt: skip


def _dense(graph: Graph, x: str, name: str) -> str:
  """`layers.Dense`: `[B, C]` -> `[B, F]`."""
  kernel = _leaf(graph, f'{name}/kernel', (0, 1))
  return _node(graph, 'Gemm', x, kernel, _leaf(graph, f'{name}/bias', (0,)))


def _project(graph: Graph, size: tuple[int, int]) -> str:
  """`layers.Project`: latents `[B, Z]` -> `[B, C, h, w]`."""
  latent, *_, channels = graph.params['project/kernel'].shape
  rows = latent, channels * size[0] * size[1]
  kernel = _leaf(graph, 'project/kernel', (0, 3, 1, 2), rows)
  x = _node(graph, 'MatMul', INPUT, kernel)
  x = _reshape(graph, x, (0, channels, *size))
  bias = _leaf(graph, 'project/bias', (0,), (channels, 1, 1))
  return _node(graph, 'Add', x, bias)


def _double(graph: Graph, x: str, name: str, pads: tuple[int, int]) -> str:
  """`layers.ConvTranspose` of stride 2, equally padded in both directions."""
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
  """`layers.Norm`."""
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
  """Maps to images, `[B, H, W, C]`."""
  return _node(graph, 'Transpose', x, perm=[0, 2, 3, 1])


def _leaf(
  graph: Graph,
  name: str,
  axes: tuple[int, ...],
  shape: tuple[int, ...] | None = None,
) -> str:
  """A parameter with its axes permuted, then reshaped."""
  value = graph.params[name]
  moved = value.transpose(axes)
  shape = moved.shape if shape is None else shape
  if name not in graph.granularity:
    return _constant(graph, moved.reshape(shape), name=name)
  scales = packing.pack(value, graph.granularity[name]).scales
  codes = np.sign(moved)
  if codes.ndim == 2:
    # A product with codes of two axes is what runtimes fuse into one that
    # rounds its other factor to 8 bits.
    codes = codes[..., None]
  axis = axes.index(value.ndim - 1)
  if scales.shape[1] == 1:
    # As many as there are rows: one scale and a reshape after it give wrong
    # weights in ONNX Runtime before 1.27.
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
  """To a shape in which 0 is the size that there is."""
  return _node(graph, 'Reshape', x, _constant(graph, shape, np.int64))


def _constant(
  graph: Graph, value: Any, dtype: Any = np.float32, name: str = ''
) -> str:
  array = np.asarray(value).astype(dtype)
  # Names are bytes, and a node says what it is without one.
  name = name or f'c{len(graph.tensors)}'
  graph.tensors.append(numpy_helper.from_array(array, name))
  return name


def _node(graph: Graph, operator: str, *inputs: str, **attributes: Any) -> str:
  output = f'n{len(graph.nodes)}'
  graph.nodes.append(
    helper.make_node(operator, list(inputs), [output], **attributes)
  )
  return output

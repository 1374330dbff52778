"""Checks graphs that were read from files: like our own, and within bounds.

A graph has standard operators of an allow-list, no attribute but numbers, and
no value that takes much memory. The graph of a translator takes images of any
size, which leaves the sizes of its values open. Its padding and cropping are
therefore compared with our own, node by node. The sizes of all values between
them are then those of padded images, and are checked for one size.

Shapes: C, D channels.
"""

from collections.abc import Iterable
import math
from typing import Any

import onnx
from onnx import helper

from coalesce_jax.export import names
from coalesce_jax.export import onnx_graphs
from coalesce_jax.export import onnx_layers as layers
from coalesce_jax.export import onnx_padding as padding
from coalesce_jax.export import onnx_translators

# Mixtures have the nodes of up to 64 generators.
MAX_NODES = 4096
# Most numbers in one value of the graph, for a batch of `BATCH` samples, or for
# one image with sides of `SIDE` pixels.
MAX_VALUES = 1 << 27
BATCH, SIDE = 64, 256
_NUMBERS = (
  onnx.AttributeProto.INT,
  onnx.AttributeProto.INTS,
  onnx.AttributeProto.FLOAT,
)


def check(model: onnx.ModelProto, metadata: dict[str, Any]) -> None:
  """Checks that a graph is like those of `onnx_graphs` or `onnx_translators`.

  Args:
    model: the model of a file.
    metadata: its description, see `metadata.parse`.

  Raises:
    ValueError: it has other inputs, operators or attributes, or values whose
      size is unknown or excessive.
  """
  graph = model.graph
  opsets = [(each.domain, each.version) for each in model.opset_import]
  versions = {*names.OPSETS.values(), *onnx_graphs.EARLIER_OPSETS}
  if opsets not in [[('', version)] for version in versions]:
    raise ValueError('imports other operators')
  if model.functions or model.training_info or graph.sparse_initializer:
    raise ValueError('holds more than a graph')
  if len(graph.node) > MAX_NODES:
    raise ValueError(f'{len(graph.node)} nodes exceed {MAX_NODES}')
  if any(t.data_location or t.external_data for t in graph.initializer):
    raise ValueError('keeps weights outside of the file')
  if 'condition_shape' in metadata:
    _check_translator(model, metadata)
  else:
    _check_generator(model, metadata)


def _check_generator(model: onnx.ModelProto, metadata: dict[str, Any]) -> None:
  graph = model.graph
  _check_operators(graph.node, onnx_graphs.OPERATORS)
  if _ends(graph) != {
    onnx_graphs.INPUT: [onnx_graphs.BATCH, metadata['latent_size']],
    onnx_graphs.OUTPUT: [onnx_graphs.BATCH, *metadata['image_shape']],
  }:
    raise ValueError("inputs or outputs are not its description's")
  _check_sizes(model, graph.node)


def _check_translator(model: onnx.ModelProto, metadata: dict[str, Any]) -> None:
  graph, sides = model.graph, metadata['sides']
  sizes = onnx_translators.SIZES
  channels = metadata['condition_shape'][-1], metadata['image_shape'][-1]
  if _ends(graph) != {
    onnx_translators.INPUT: [*sizes, channels[0]],
    onnx_translators.OUTPUT: [*sizes, channels[1]],
  }:
    raise ValueError("inputs or outputs are not its description's")
  if SIDE % sides['multiple'] or sides['padded'] % sides['multiple']:
    raise ValueError('its description is damaged')
  nodes, tensors = list(graph.node), list(graph.initializer)
  if any(len(node.output) != 1 for node in nodes):
    raise ValueError('has nodes without one output')
  named = [*(t.name for t in tensors), *(node.output[0] for node in nodes)]
  if len({onnx_translators.INPUT, *named}) != len(named) + 1:
    raise ValueError('gives one name to two values')
  opset = model.opset_import[0].version
  start = layers.Graph({}, {}, None, opset, [], [], onnx_translators.INPUT)
  x, frame = padding.pad(start, start.z, sides['multiple'], sides['padded'])
  end = start._replace(nodes=[], tensors=[])
  padding.crop(end, x, frame)
  core = nodes[len(start.nodes) : len(nodes) - len(end.nodes)]
  held = tensors[len(start.tensors) : len(tensors) - len(end.tensors)]
  if not core:
    raise ValueError('has no network')
  own = start._replace(nodes=start.nodes + core, tensors=start.tensors + held)
  y = core[-1].output[0]
  padding.crop(own, y, frame)
  own.nodes[-1].output[0] = onnx_translators.OUTPUT
  if own.nodes != nodes or own.tensors != tensors:
    raise ValueError('pads or crops images in another way')
  _check_operators(core, onnx_translators.OPERATORS)
  between = [
    helper.make_tensor_value_info(
      name, onnx.TensorProto.FLOAT, [1, count, SIDE, SIDE]
    )
    for name, count in zip((x, y), channels, strict=True)
  ]
  inner = helper.make_graph(
    core, 'core', between[:1], between[1:], initializer=held
  )
  _check_sizes(
    helper.make_model(
      inner, opset_imports=model.opset_import, ir_version=model.ir_version
    ),
    core,
  )


def _check_operators(
  nodes: Iterable[onnx.NodeProto], operators: frozenset[str]
) -> None:
  for node in nodes:
    if node.domain or node.op_type not in operators:
      raise ValueError(f'has the operator {node.op_type[:40]!r}')
    for each in node.attribute:
      reflects = (node.op_type, each.name, each.s) == (
        'Pad',
        'mode',
        b'reflect',
      )
      if each.type not in _NUMBERS and not reflects:
        raise ValueError(f'has other attributes of {node.op_type}')


def _check_sizes(
  model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]
) -> None:
  try:
    inferred = onnx.shape_inference.infer_shapes(
      model, strict_mode=True, data_prop=True
    ).graph
  except Exception as error:
    raise ValueError('its shapes do not fit') from error
  known = {
    value.name: [BATCH if n == onnx_graphs.BATCH else n for n in _shape(value)]
    for value in (*inferred.value_info, *inferred.output)
  }
  for name in (name for node in nodes for name in node.output):
    sizes = [n if isinstance(n, int) else 0 for n in known.get(name, [0])]
    if not 1 <= math.prod(sizes) <= MAX_VALUES:
      raise ValueError(f'{name[:40]!r} has an unknown or excessive size')


def _ends(graph: onnx.GraphProto) -> dict[str, list[int | str]]:
  return {v.name: _shape(v) for v in (*graph.input, *graph.output)}


def _shape(value: onnx.ValueInfoProto) -> list[int | str]:
  """Lists the sizes of a value; 0 stands for an unknown size."""
  return [
    dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim
  ]

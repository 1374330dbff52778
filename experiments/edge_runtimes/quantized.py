"""Programs that compute with few bits, not only store them.

ONNX Runtime multiplies matrices of 2 and 4 bits by activations that it rounds
to 8 bits (`MatMulNBits`). A transposed convolution is such a product at each
pixel, and a sum of overlapping patches (`Col2Im`).

Shapes: K rows and N columns of a matrix, C channels of an input.
"""

import math
import pathlib
import tempfile
from typing import Any

import numpy as np

from coalesce_jax.export import export
from coalesce_jax.models import generator as generator_lib

# Bits of a weight in products, by runtime.
PRODUCTS = {'onnx_int2_products': 2, 'onnx_int4_products': 4}
# Rows that share a scale in products: as many as the kernels take.
BLOCK = 32
# Latents by which ranges of activations are found.
CALIBRATION = 256
_DOMAIN, _OPSET = 'com.microsoft', 18


def _float32(made: generator_lib.Generator) -> Any:
  import onnx  # noqa: PLC0415

  program = export.build(made, weights='float32').contents['']
  return onnx.load_model_from_string(program)


def dynamic(
  made: generator_lib.Generator, path: pathlib.Path
) -> dict[str, Any]:
  """Quantizes our float32 graph by ONNX Runtime's dynamic quantization.

  Returns:
    What became of it: `operators` that it brought, `leaves` that are in 8 bits,
    and `weights`, how many these hold.
  """
  import onnx  # noqa: PLC0415
  from onnxruntime import quantization  # noqa: PLC0415

  before = _float32(made)
  had = {node.op_type for node in before.graph.node}
  quantization.quantize_dynamic(before, path)
  after = onnx.load(path)
  eight = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
  tensors = [
    tensor for tensor in after.graph.initializer
    if tensor.data_type in eight and math.prod(tensor.dims) > 1
  ]  # fmt: skip
  return {
    'operators': sorted({node.op_type for node in after.graph.node} - had),
    'leaves': [tensor.name.removesuffix('_quantized') for tensor in tensors],
    'weights': sum(math.prod(tensor.dims) for tensor in tensors),
  }


def static(
  made: generator_lib.Generator, path: pathlib.Path, rng: np.random.Generator
) -> None:
  """Quantizes our float32 graph to 8 bits, calibrated on latents.

  Weights have 7 bits and one scale for each output channel, activations 8 bits
  and one for each tensor. Processors without VNNI add pairs of products of 8
  bits in 16 bits, where they saturate.
  """
  import onnx  # noqa: PLC0415
  from onnxruntime import quantization  # noqa: PLC0415

  z = rng.standard_normal((CALIBRATION, made.spec.latent_size), np.float32)
  batches = iter([{'z': some} for some in np.split(z, CALIBRATION // 64)])

  class Reader(quantization.CalibrationDataReader):
    def get_next(self) -> Any:
      return next(batches, None)

  with tempfile.TemporaryDirectory() as scratch:
    given = pathlib.Path(scratch) / 'float32.onnx'
    onnx.save(_float32(made), given)
    quantization.quantize_static(
      str(given), str(path), Reader(), per_channel=True, reduce_range=True,
      op_types_to_quantize=['Conv', 'ConvTranspose', 'Gemm', 'MatMul'],
    )  # fmt: skip


def products(
  made: generator_lib.Generator, path: pathlib.Path, bits: int
) -> None:
  """Writes the ternary leaves of a generator as products of few bits.

  A column has one scale, the mean of its magnitudes, so that a program with
  other magnitudes of positive and negative weights is not exact.
  """
  import onnx  # noqa: PLC0415
  from onnx import helper  # noqa: PLC0415
  from onnx import numpy_helper  # noqa: PLC0415
  from onnx import version_converter  # noqa: PLC0415

  # `Col2Im` is there from version 18 on.
  model = version_converter.convert_version(_float32(made), _OPSET)
  model = onnx.shape_inference.infer_shapes(model)
  graph = model.graph
  ternary = set(made.spec.encodings['ternary']['leaves'])
  values = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
  shapes = {
    info.name: [d.dim_value for d in info.type.tensor_type.shape.dim]
    for info in (*graph.value_info, *graph.output)
  }
  nodes: list[Any] = []
  tensors: dict[str, np.ndarray] = {}

  def node(operator: str, inputs: list[str], output: str, **more: Any) -> str:
    nodes.append(helper.make_node(operator, inputs, [output], **more))
    return output

  def multiplied(x: str, matrix: np.ndarray, name: str, output: str) -> str:
    rows, columns = matrix.shape
    codes, scales, zeros = packed(matrix, bits)
    tensors.update({
      f'{name}/codes': codes, f'{name}/scales': scales, f'{name}/zeros': zeros,
    })  # fmt: skip
    return node(
      'MatMulNBits', [x, f'{name}/codes', f'{name}/scales', f'{name}/zeros'],
      output, domain=_DOMAIN, K=rows, N=columns, bits=bits, block_size=BLOCK,
      accuracy_level=4,
    )  # fmt: skip

  for old in graph.node:
    name = old.input[1] if len(old.input) > 1 else ''
    if name not in ternary or old.op_type not in ('MatMul', 'ConvTranspose'):
      nodes.append(old)
      continue
    x, output, kernel = old.input[0], old.output[0], values[name]
    if old.op_type == 'MatMul':
      multiplied(x, kernel, name, output)
      continue
    inward, outward, *size = kernel.shape
    given = {a.name: helper.get_attribute_value(a) for a in old.attribute}
    tensors[f'{name}/flat'] = np.array([0, inward, -1])
    tensors[f'{name}/image'] = np.array(shapes[output][2:])
    tensors[f'{name}/block'] = np.array(size)
    y = node('Reshape', [x, f'{name}/flat'], f'{name}/a')
    y = node('Transpose', [y], f'{name}/b', perm=[0, 2, 1])
    y = multiplied(y, kernel.reshape(inward, -1), name, f'{name}/c')
    y = node('Transpose', [y], f'{name}/d', perm=[0, 2, 1])
    bias = len(old.input) > 2
    y = node(
      'Col2Im', [y, f'{name}/image', f'{name}/block'],
      f'{name}/e' if bias else output,
      strides=given['strides'], pads=given['pads'],
    )  # fmt: skip
    if bias:
      shape = (outward, 1, 1)
      tensors[f'{name}/bias'] = values[old.input[2]].reshape(shape)
      node('Add', [y, f'{name}/bias'], output)
  used = {name for each in nodes for name in each.input}
  kept = [x for x in graph.initializer if x.name in used]
  kept += [numpy_helper.from_array(x, name) for name, x in tensors.items()]
  changed = helper.make_graph(
    nodes, graph.name, graph.input, graph.output, initializer=kept
  )
  opsets = [helper.make_opsetid('', _OPSET), helper.make_opsetid(_DOMAIN, 1)]
  onnx.save(
    helper.make_model(
      changed, opset_imports=opsets, ir_version=model.ir_version
    ),
    path,
  )


def packed(
  matrix: np.ndarray, bits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns codes, scales and zero points of `MatMulNBits`.

  Args:
    matrix: ternary, `[K, N]`.
    bits: of a code.
  """
  rows, columns = matrix.shape
  blocks, each = -(-rows // BLOCK), 8 // bits
  magnitude = np.abs(matrix)
  count = np.maximum((magnitude > 0).sum(0), 1)
  scale = (magnitude.sum(0) / count).astype(np.float32)
  zero = 1 << (bits - 1)
  codes = np.full((columns, blocks * BLOCK), zero, np.uint8)
  codes[:, :rows] += np.sign(matrix).T.astype(np.int8).astype(np.uint8)
  parts = codes.reshape(columns, blocks, BLOCK // each, each)
  shifts = (np.arange(each) * bits).astype(np.uint8)
  stored = np.bitwise_or.reduce(parts << shifts, axis=-1)
  zeros = np.full((columns, -(-blocks // each), each), zero, np.uint8)
  zeros = np.bitwise_or.reduce(zeros << shifts, axis=-1)
  return stored, np.repeat(scale, blocks), zeros.reshape(-1)

"""ONNX files: programs with a description, read within bounds.

A file is a program followed by its description. Both are messages of protocol
buffers, which read concatenated messages as one, so every runtime reads the
file. The sha256 in the description is that of the bytes before it.

An ONNX file is code, and `read` is meant for files of this package. It accepts
only files with our description, with standard operators of an allow-list, and
without values that take much memory.

Shapes: B batch, Z latent.
"""

from collections.abc import Callable
import json
import math
import os
from typing import Any

import numpy as np
import onnx
import onnxruntime

from coalesce_jax.core import file_kinds
from coalesce_jax.core import files
from coalesce_jax.export import metadata as metadata_lib
from coalesce_jax.export import names
from coalesce_jax.export import onnx_graphs

KEY = 'coalesce_jax'
MAX_BYTES = 1 << 29
# Mixtures have the nodes of up to 64 generators.
MAX_NODES = 4096
# Most numbers in one value of the graph, for a batch of `BATCH`.
MAX_VALUES = 1 << 27
# Most samples that are computed at once.
BATCH = 64
_WANTED = 'name a file of `coalesce export --format=onnx`'
_ATTRIBUTES = (
  onnx.AttributeProto.INT,
  onnx.AttributeProto.INTS,
  onnx.AttributeProto.FLOAT,
)


def describe(program: bytes, metadata: dict[str, Any]) -> bytes:
  """Appends a description to a program.

  Other readers of ONNX find the description under `metadata_props`.
  """
  return program + _tail(json.dumps(metadata, sort_keys=True))


def load(
  data: bytes, *, expand: bool = True
) -> Callable[[np.ndarray], np.ndarray]:
  """Loads a program that ONNX Runtime runs on one core.

  Args:
    data: bytes of a file.
    expand: whether packed weights become float32 once, at loading, instead of
      at every call.

  Returns:
    The function from latents `[B, Z]` to samples `[B, ...]`.

  Raises:
    ValueError: the runtime does not accept the program.
  """
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  if expand:
    options.add_session_config_entry('session.disable_quant_qdq', '1')
  try:
    session = onnxruntime.InferenceSession(
      data, options, providers=['CPUExecutionProvider']
    )
  except Exception as error:
    # The runtime's classes of errors have no common base but Exception.
    raise ValueError(
      f'ONNX Runtime {onnxruntime.__version__} does not take the program: '
      f'{str(error).splitlines()[0][:200]}'
    ) from None
  return lambda z: session.run(
    [onnx_graphs.OUTPUT], {onnx_graphs.INPUT: np.asarray(z, np.float32)}
  )[0]


def sample(data: bytes, latent_size: int, seed: int, n: int) -> np.ndarray:
  """Draws samples of a file on one core.

  Args:
    data: bytes of a file.
    latent_size: Z.
    seed: seed of NumPy's default generator, which draws the latents.
    n: number of samples, at least 1.

  Returns:
    Samples, `[n, ...]`.
  """
  run, rng = load(data), np.random.default_rng(seed)
  parts = [
    run(rng.standard_normal((min(BATCH, n - start), latent_size), np.float32))
    for start in range(0, n, BATCH)
  ]
  return np.concatenate(parts)


def read(path: str | os.PathLike[str]) -> tuple[bytes, dict[str, Any]]:
  """Reads a file that this package wrote.

  Returns:
    The bytes and the description of the file.

  Raises:
    ValueError: the file is missing, damaged, too large, or of another origin.
      The error is one line.
  """
  path, name = os.fspath(path), files.shown(path)
  if os.path.isdir(path):
    raise ValueError(f'{name}: a folder; {_WANTED}')
  # Opening a pipe would wait for somebody who writes to it.
  if os.path.exists(path) and not os.path.isfile(path):
    raise ValueError(f'{name}: not a regular file; {_WANTED}')
  try:
    with open(path, 'rb') as file:
      data = file.read(MAX_BYTES + 1)
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError(f'{name}: no such file') from None
  except OSError as error:
    raise ValueError(f'{name}: cannot be read ({error.strerror})') from None
  _check_kind(name, data)
  if len(data) > MAX_BYTES:
    raise ValueError(f'{name}: exceeds the limit of {MAX_BYTES} bytes')
  try:
    model = onnx.load_model_from_string(data)
  except Exception:
    # The classes of errors depend on how protocol buffers are installed.
    raise ValueError(f'{name}: no ONNX file, or damaged; {_WANTED}') from None
  texts = [entry.value for entry in model.metadata_props if entry.key == KEY]
  if len(texts) != 1 or len(model.metadata_props) != 1:
    raise ValueError(
      f'{name}: was not written by `coalesce export`, or is damaged; {_WANTED}'
    )
  try:
    metadata = metadata_lib.parse(texts[0])
    program = data.removesuffix(_tail(texts[0]))
    if files.digest([program]) != metadata['program_sha256']:
      raise ValueError("damaged, its sha256 is not its description's")
    _check(model, metadata)
  except ValueError as error:
    raise ValueError(f'{name}: {error}') from None
  return data, metadata


def _check_kind(name: str, data: bytes) -> None:
  """Names a file of another kind before anything parses it."""
  head = data[: file_kinds.HEAD]
  kind = file_kinds.kind(head, os.path.basename(name))
  if kind == 'safetensors':
    raise ValueError(
      f'{name}: a safetensors file; JAX samples a bundle (--backend=jax), or '
      '`coalesce export` makes an ONNX program of it'
    )
  if kind not in ('onnx', 'unknown'):
    raise ValueError(f'{name}: {file_kinds.NAMES[kind]}; {_WANTED}')


def _tail(text: str) -> bytes:
  entry = onnx.StringStringEntryProto(key=KEY, value=text)
  return onnx.ModelProto(metadata_props=[entry]).SerializeToString()


def _check(model: onnx.ModelProto, metadata: dict[str, Any]) -> None:
  """Checks that a graph is like those of `onnx_graphs`.

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
  for node in graph.node:
    if node.domain or node.op_type not in onnx_graphs.OPERATORS:
      raise ValueError(f'has the operator {node.op_type[:40]!r}')
    if any(each.type not in _ATTRIBUTES for each in node.attribute):
      raise ValueError(f'has other attributes of {node.op_type}')
  if any(t.data_location or t.external_data for t in graph.initializer):
    raise ValueError('keeps weights outside of the file')
  ends = {v.name: _sizes(v)[1:] for v in (*graph.input, *graph.output)}
  if ends != {
    onnx_graphs.INPUT: [metadata['latent_size']],
    onnx_graphs.OUTPUT: metadata['image_shape'],
  }:
    raise ValueError("inputs or outputs are not its description's")
  try:
    inferred = onnx.shape_inference.infer_shapes(
      model, strict_mode=True, data_prop=True
    ).graph
  except Exception as error:
    raise ValueError('its shapes do not fit') from error
  known = {v.name: _sizes(v) for v in (*inferred.value_info, *inferred.output)}
  for name in (name for node in graph.node for name in node.output):
    if not 1 <= math.prod(known.get(name, [0])) <= MAX_VALUES:
      raise ValueError(f'{name[:40]!r} has an unknown or excessive size')


def _sizes(value: onnx.ValueInfoProto) -> list[int]:
  """Lists the sizes of a value; 0 stands for an unknown size."""
  return [
    BATCH if dim.dim_param == onnx_graphs.BATCH else dim.dim_value
    for dim in value.type.tensor_type.shape.dim
  ]

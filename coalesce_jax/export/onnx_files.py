"""ONNX files: programs with a description, read within bounds.

A file is a program followed by its description. Both are messages of protocol
buffers, which read concatenated messages as one, so every runtime reads the
file. The sha256 in the description is that of the bytes before it.

An ONNX file is code, and `read` is meant for files of this package. It accepts
only files with our description and graphs like our own, see `onnx_checks`.

Shapes: B batch, Z latent, H, W, C, D image.
"""

from collections.abc import Callable
import json
import os
from typing import Any

import numpy as np
import onnx
import onnxruntime

from coalesce_jax.core import file_kinds
from coalesce_jax.core import files
from coalesce_jax.export import metadata as metadata_lib
from coalesce_jax.export import onnx_checks

KEY = 'coalesce_jax'
MAX_BYTES = 1 << 29
# Most samples that are computed at once.
BATCH = onnx_checks.BATCH
_WANTED = 'name a file of `coalesce export --format=onnx`'
# By whether a translator was wanted.
_OTHER_KIND = {
  False: (
    'translates images and makes none of latents; `coalesce translate apply` '
    'runs it'
  ),
  True: (
    'makes images of latents and translates none; `coalesce sample '
    '--backend=onnx` draws them'
  ),
}


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
    The function from latents `[B, Z]` to samples `[B, ...]`, or from images
    `[B, H, W, C]` to images `[B, H, W, D]`.

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
  (start,) = session.get_inputs()
  return lambda x: session.run(None, {start.name: np.asarray(x, np.float32)})[0]


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


def read(
  path: str | os.PathLike[str], *, translator: bool = False
) -> tuple[bytes, dict[str, Any]]:
  """Reads a file that this package wrote.

  Args:
    path: path of the file.
    translator: whether it shall translate images, instead of making samples of
      latents.

  Returns:
    The bytes and the description of the file.

  Raises:
    ValueError: the file is missing, damaged, too large, of another origin or of
      the other kind. The error is one line.
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
    onnx_checks.check(model, metadata)
    if translator != ('condition_shape' in metadata):
      raise ValueError(_OTHER_KIND[translator])
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

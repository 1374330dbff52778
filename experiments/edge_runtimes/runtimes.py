"""The runtimes that are compared, and their processes, each on one core."""

from collections.abc import Callable
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, NamedTuple

# A file may take so long for one answer, in seconds.
LIMIT = 180.0
LATENTS, IMAGES = 'latents.npy', 'images.npy'
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Runtime(NamedTuple):
  """A way to make images.

  Attributes:
    label: for tables.
    loader: of `child.LOADERS`.
    file: that it reads; '' is none.
    tolerance: largest absolute difference from JAX's images; None: any, since
      it rounds.
    needs: packages without which it is left out.
    uses: modules of `child.HEAVY` that it may import.
    ternary: whether the generator has to be ternary.
  """

  label: str
  loader: str
  file: str
  tolerance: float | None = 1e-4
  needs: tuple[str, ...] = ()
  uses: tuple[str, ...] = ()
  ternary: bool = False


_ONNX: dict[str, Any] = {
  'needs': ('onnx', 'onnxruntime'), 'uses': ('onnxruntime',),
}  # fmt: skip
_JAX: dict[str, Any] = {'needs': ('flatbuffers',), 'uses': ('jax',)}
_PACKAGE = ('coalesce_jax', 'jax')
_FEW_BITS: dict[str, Any] = {'ternary': True, **_ONNX}
# The one that others are divided by, the one without images, and the one of the
# generator from which the node was made.
REFERENCE, EMPTY, LARGE = 'onnx_float32', 'numpy', 'onnx_large'
TABLE = {
  'numpy': Runtime('Python with NumPy', 'nothing', ''),
  'onnx_float32': Runtime(
    'ONNX Runtime, float32', 'onnx', 'float32.onnx', **_ONNX
  ),
  LARGE: Runtime(
    'ONNX Runtime, float32, before', 'onnx', 'large.onnx', None, **_ONNX
  ),
  'onnx_int2_load': Runtime(
    'ONNX Runtime, int2 expanded at load', 'onnx_expanded', 'int2.onnx',
    **_FEW_BITS,
  ),
  'onnx_int2_run': Runtime(
    'ONNX Runtime, int2 expanded at every run', 'onnx', 'int2.onnx',
    **_FEW_BITS,
  ),
  'onnx_int4': Runtime(
    'ONNX Runtime, int4 expanded at load', 'onnx_expanded', 'int4.onnx',
    **_FEW_BITS,
  ),
  'onnx_int8': Runtime(
    'ONNX Runtime, dynamic int8', 'onnx', 'int8.onnx', None, **_ONNX
  ),
  'onnx_int8_static': Runtime(
    'ONNX Runtime, static int8', 'onnx', 'int8_static.onnx', None, **_ONNX
  ),
  'onnx_int2_products': Runtime(
    'ONNX Runtime, products of 2 bits', 'onnx', 'int2_products.onnx', None,
    **_FEW_BITS,
  ),
  'onnx_int4_products': Runtime(
    'ONNX Runtime, products of 4 bits', 'onnx', 'int4_products.onnx', None,
    **_FEW_BITS,
  ),
  'jax_bundle': Runtime(
    'JAX, packed bundle', 'bundle', 'edge.safetensors', uses=_PACKAGE
  ),
  'jax_constant': Runtime(
    'JAX, packed bundle, weights as constants', 'bundle_constant',
    'edge.safetensors', uses=_PACKAGE,
  ),
  'stablehlo_int2': Runtime(
    'StableHLO, int2', 'stablehlo', 'int2.stablehlo', ternary=True, **_JAX
  ),
  'stablehlo_float32': Runtime(
    'StableHLO, float32', 'stablehlo', 'float32.stablehlo', **_JAX
  ),
  'torch': Runtime(
    'PyTorch, eager', 'torch', 'weights.pt', needs=('torch',), uses=('torch',)
  ),
}  # fmt: skip


def missing(
  name: str,
  find: Callable[[str], object] = importlib.util.find_spec,
) -> list[str]:
  """Packages that a runtime needs and that are not installed."""
  return [package for package in TABLE[name].needs if find(package) is None]


def versions() -> dict[str, str]:
  """Of the installed packages that runtimes need."""
  names = {package for row in TABLE.values() for package in row.needs}
  return {
    name: importlib.metadata.version(name) for name in sorted(names)
    if importlib.util.find_spec(name) is not None
  }  # fmt: skip


def core(index: int) -> int:
  """The core of an index among those that this process may use.

  Raises:
    ValueError: there is none, or processes cannot be kept on a core here.
  """
  if not hasattr(os, 'sched_getaffinity'):
    raise ValueError('processes are kept on one core on Linux only')
  allowed = sorted(os.sched_getaffinity(0))
  if not -len(allowed) <= index < len(allowed):
    raise ValueError(f'core {index} is not among {len(allowed)}')
  return allowed[index]


class Process:
  """A new process of a runtime, from before its start; a context manager.

  Attributes:
    cold_seconds: from its start to its first image.
    peak_mib: largest resident size up to then.
  """

  def __init__(self, name: str, folder: pathlib.Path, on: int):
    """Starts it and waits for its first image.

    Args:
      name: of the runtime.
      folder: of the files.
      on: its core.

    Raises:
      RuntimeError: it failed, or is not on that core alone.
    """
    self._name = name
    runtime = TABLE[name]
    command = [
      sys.executable, '-m', 'experiments.edge_runtimes.child', runtime.loader,
      str((folder / runtime.file).resolve()),
      str((folder / LATENTS).resolve()), str(on),
    ]  # fmt: skip
    self._errors = tempfile.TemporaryFile()
    began = time.monotonic()
    self._process = subprocess.Popen(
      command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
      stderr=self._errors, text=True, cwd=_ROOT, env=environment(),
    )  # fmt: skip
    try:
      said = self._answer()
      # The clock is the machine's, of all its processes.
      self.cold_seconds = said['first'] - began
      self.peak_mib = said['peak_mib']
      if said['cores'] != [on]:
        raise RuntimeError(f'{name} runs on cores {said["cores"]}, not {on}')
    except BaseException:
      self.close()
      raise

  def seconds(self, batch: int, calls: int) -> float:
    """Seconds of a number of calls, by the process's own clock."""
    return self.ask(batch=batch, calls=calls)['seconds']

  def ask(self, **request: Any) -> dict[str, Any]:
    """The answer to a request, see `child`."""
    assert self._process.stdin is not None
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    return self._answer()

  def _answer(self) -> dict[str, Any]:
    assert self._process.stdout is not None
    watch = threading.Timer(LIMIT, self._process.kill)
    watch.start()
    line = self._process.stdout.readline()
    watch.cancel()
    if not line:
      self._process.wait()
      self._errors.seek(0)
      lines = self._errors.read().decode(errors='replace').split('\n')
      error = next((line for line in lines[::-1] if line.strip()), 'no error')
      raise RuntimeError(f'{self._name} failed: {error[:300]}')
    return json.loads(line)

  def close(self) -> None:
    """Ends it."""
    for end in (self._process.stdin, self._process.stdout):
      assert end is not None
      end.close()
    try:
      self._process.wait(10.0)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    self._errors.close()

  def __enter__(self) -> 'Process':
    return self

  def __exit__(self, *raised: object) -> None:
    self.close()


def environment() -> dict[str, str]:
  """Variables of a process: one thread, and no one else's settings of JAX."""
  kept = {
    name: value for name, value in os.environ.items()
    if not name.startswith(('JAX_', 'XLA_'))
  }  # fmt: skip
  threads = ('OMP', 'OPENBLAS', 'MKL', 'NUMEXPR')
  return (
    kept
    | {f'{name}_NUM_THREADS': '1' for name in threads}
    | {'JAX_PLATFORMS': 'cpu'}
  )

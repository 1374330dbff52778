"""One process that makes images by one runtime: what a device would run.

It imports NumPy and that runtime only, so that its start and its memory are
the runtime's:

  python -m experiments.edge_runtimes.child LOADER FILE LATENTS CORE

It takes the one core, makes one image, says so, and then answers requests, a
JSON line each: `{"batch": B, "calls": n}` with the seconds that they took,
`{"save": PATH}` with the images of the first latent and then of all of them.
`{"save": PATH, "latents": PATH}` saves the images of other latents, whose
number is a multiple of those of LATENTS.

Shapes: B batch, Z latent, images `[B, H, W, C]`.
"""

from collections.abc import Callable
import json
import os
import pathlib
import sys
import time
from typing import Any

# As far as one image needs them; `uses` of a runtime says which it may have.
HEAVY = ('coalesce_jax', 'jax', 'onnx', 'onnxruntime', 'torch')

Run = Callable[[Any], Any]


def main(loader: str, file: str, latents: str, core: int) -> None:
  """Answers requests until there is no more input."""
  # Before anything asks how many threads it may start.
  os.sched_setaffinity(0, {core})
  import numpy as np  # noqa: PLC0415

  z = np.load(latents)
  run = LOADERS[loader](file)
  run(z[:1])
  _say(
    first=time.monotonic(),
    peak_mib=_peak(),
    cores=sorted(os.sched_getaffinity(0)),
  )
  for line in iter(sys.stdin.readline, ''):
    request = json.loads(line)
    if 'save' in request:
      some = [z[:1], z]
      if 'latents' in request:
        others = np.load(request['latents'])
        some = np.split(others, len(others) // len(z))
      np.save(request['save'], np.concatenate([run(each) for each in some]))
      modules = [name for name in HEAVY if name in sys.modules]
      _say(peak_mib=_peak(), modules=modules)
    else:
      some, calls = z[: request['batch']], range(request['calls'])
      began = time.perf_counter()
      for _ in calls:
        run(some)
      _say(seconds=time.perf_counter() - began)


def _nothing(file: str) -> Run:
  """Python with NumPy and the latents, no images."""
  del file
  return lambda z: z


def _onnx(file: str, expand: bool = False) -> Run:
  """ONNX Runtime; `expand`: packed weights become float32 once, here."""
  import onnxruntime  # noqa: PLC0415

  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = options.inter_op_num_threads = 1
  if expand:
    options.add_session_config_entry('session.disable_quant_qdq', '1')
  session = onnxruntime.InferenceSession(
    file, options, providers=['CPUExecutionProvider']
  )
  return lambda z: session.run(['images'], {'z': z})[0]


def _onnx_expanded(file: str) -> Run:
  return _onnx(file, expand=True)


def _bundle(file: str, constant: bool = False) -> Run:
  """JAX, from a bundle; `constant`: its weights are part of the program."""
  import jax  # noqa: PLC0415
  import numpy as np  # noqa: PLC0415

  import coalesce_jax as cj  # noqa: PLC0415

  network, params, *_ = cj.load(file)
  if constant:
    alone = jax.jit(lambda z: network.apply(params, z))
    return lambda z: np.asarray(alone(z))
  apply = jax.jit(network.apply)
  return lambda z: np.asarray(apply(params, z))


def _bundle_constant(file: str) -> Run:
  return _bundle(file, constant=True)


def _stablehlo(file: str) -> Run:
  """JAX without this package, from a program of `jax.export`."""
  import jax  # noqa: PLC0415
  from jax import export  # noqa: PLC0415
  import numpy as np  # noqa: PLC0415

  data = bytearray(pathlib.Path(file).read_bytes())
  call = jax.jit(export.deserialize(data).call)
  return lambda z: np.asarray(call(z))


def _torch(file: str) -> Run:
  """PyTorch, eager: the operations of `experiments.speed.peer.Generator`."""
  import torch  # noqa: PLC0415
  from torch.nn import functional  # noqa: PLC0415

  torch.set_num_threads(1)
  state = torch.load(file, weights_only=True)
  last = sum(name.startswith('ups.') for name in state) // 2
  layers = [
    [state[f'{kind}.{i}.{leaf}'] for kind in ('norms', 'ups')
     for leaf in ('weight', 'bias')]
    for i in range(last)
  ]  # fmt: skip
  project, bias = state['project.weight'], state['bias'][:, None, None]
  size = round((project.shape[0] / bias.shape[0]) ** 0.5)
  start = (bias.shape[0], size, size)

  @torch.inference_mode()
  def run(z: Any) -> Any:
    x = functional.linear(torch.from_numpy(z), project)
    x = x.view(-1, *start) + bias
    for scale, shift, kernel, offset in layers:
      x = functional.group_norm(x, 1, scale, shift, 1e-6)
      x = functional.conv_transpose2d(
        functional.relu(x), kernel, offset, stride=2, padding=1
      )
    return torch.tanh(x).permute(0, 2, 3, 1).contiguous().numpy()

  return run


LOADERS: dict[str, Callable[[str], Run]] = {
  'nothing': _nothing,
  'onnx': _onnx,
  'onnx_expanded': _onnx_expanded,
  'bundle': _bundle,
  'bundle_constant': _bundle_constant,
  'stablehlo': _stablehlo,
  'torch': _torch,
}


def _peak() -> float:
  """Largest resident size so far, in MiB; of this program alone, on Linux."""
  for line in pathlib.Path('/proc/self/status').read_text().splitlines():
    if line.startswith('VmHWM:'):
      return int(line.split()[1]) / 1024.0
  raise RuntimeError('/proc/self/status has no VmHWM')


def _say(**values: Any) -> None:
  print(json.dumps(values), flush=True)


if __name__ == '__main__':
  main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

"""One process from its start to its first chunk: seconds and memory.

Runs as a process of its own, since imports, compilation and the largest
resident size are those of a process:

  python -m experiments.speed.probe '{"width": 16, "members": 4, ...}'
"""

import time

# Before the heavy imports: their time is what is measured.
_began = time.perf_counter()

import json  # noqa: E402
import pathlib  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402


def start(
  settings: dict[str, Any], cache: pathlib.Path | None = None
) -> dict[str, Any]:
  """Runs the probe in a new process.

  Args:
    settings: `width`, `size`, `channels`, `batch_size`, `critic_steps`,
      `members` (0 for none), `nodes` (0 for pretraining), `steps`, `seed`.
    cache: folder of JAX's persistent compilation cache; None is without.

  Returns:
    `import_seconds`, `first_chunk_seconds` (from the start of the process to
    the end of the first chunk), `compile_seconds` (of that chunk, its running
    time taken off), `chunk_seconds` (the median of three later ones),
    `resident_mib` and `imported_mib` (largest resident size, at the end and
    before the first array).

  Raises:
    RuntimeError: the process failed; its last line of error.
  """
  arguments = [json.dumps(settings), '' if cache is None else str(cache)]
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.speed.probe', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    raise RuntimeError(f'the probe failed: {done.stderr.strip()[-300:]}')
  return json.loads(done.stdout.strip().splitlines()[-1])


def _measure(settings: dict[str, Any], cache: str) -> dict[str, Any]:
  import jax  # noqa: PLC0415

  from coalesce_jax.gan import game as game_lib  # noqa: PLC0415
  from experiments.speed import programs  # noqa: PLC0415
  from experiments.speed import shapes  # noqa: PLC0415

  imported = time.perf_counter() - _began
  before = _resident()
  if cache:
    jax.config.update('jax_compilation_cache_dir', cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  network = shapes.Network(
    settings['size'], settings['channels'], settings['width']
  )
  config = game_lib.Config(
    batch_size=settings['batch_size'], critic_steps=settings['critic_steps']
  )
  seed, members, steps = (settings[k] for k in ('seed', 'members', 'steps'))
  if settings['nodes']:
    program = programs.barycenter(
      network, config, settings['nodes'], seed, members
    )
  else:
    images = programs.data(network, seed)
    program = programs.pretraining(network, config, images, seed, members)
  began = time.perf_counter()
  program.run(steps)
  first = time.perf_counter()
  later = []
  for _ in range(3):
    again = time.perf_counter()
    program.run(steps)
    later.append(time.perf_counter() - again)
  later.sort()
  return {
    'import_seconds': imported,
    'first_chunk_seconds': first - _began,
    'compile_seconds': first - began - later[1],
    'chunk_seconds': later[1],
    'resident_mib': _resident(),
    'imported_mib': before,
  }


def _resident() -> float:
  """Largest resident size so far, in MiB."""
  # Linux's `getrusage` keeps what the parent had before `exec`.
  status = pathlib.Path('/proc/self/status')
  if status.is_file():
    for line in status.read_text().splitlines():
      if line.startswith('VmHWM:'):
        return int(line.split()[1]) / 1024.0
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


if __name__ == '__main__':
  print(json.dumps(_measure(json.loads(sys.argv[1]), sys.argv[2])))

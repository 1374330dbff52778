"""Measures how soon the `coalesce` command answers.

  python -m experiments.speed.startup

Prints the median of five processes each, in seconds: help, version, usage
errors, and the first line of `adapt` on 400 images.
"""

from collections.abc import Callable, Sequence
import functools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

REPEATS = 5
IMAGES = 400
ANSWERS = {
  'coalesce --help': ('--help',),
  'coalesce --version': ('--version',),
  'coalesce adpat': ('adpat',),
  'coalesce adapt --help': ('adapt', '--help'),
  'coalesce adapt --learning_rate=inf': ('adapt', '--learning_rate=inf'),
  'coalesce adapt': ('adapt',),
}


def command(arguments: Sequence[str]) -> list[str]:
  """Returns the command line of a process."""
  return [sys.executable, '-m', 'coalesce_jax', *arguments]


def answer(arguments: Sequence[str]) -> float:
  """Returns the seconds until a command has ended."""
  began = time.monotonic()
  subprocess.run(command(arguments), capture_output=True, check=False)
  return time.monotonic() - began


def first_line(arguments: Sequence[str]) -> float:
  """Returns the seconds until a command says something, and ends it."""
  began = time.monotonic()
  with subprocess.Popen(
    command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
  ) as process:
    assert process.stderr is not None
    line = process.stderr.readline()
    seconds = time.monotonic() - began
    process.kill()
  if not line:
    raise RuntimeError(f'{arguments} said nothing')
  return seconds


def photos(folder: pathlib.Path) -> None:
  """Writes images for `adapt`."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  for i in range(IMAGES):
    pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f'{i:04d}.png')


def bundle(path: pathlib.Path) -> None:
  """Writes a generator of new parameters."""
  import jax

  import coalesce_jax as cj

  options = (('width', 16),)
  spec = cj.Spec('dcgan', 64, (28, 28, 1), options, 'dcgan', options)
  made = cj.Generator(
    spec.build(), spec.build().init(jax.random.key(0)), spec,
    spec.build_critic().init(jax.random.key(1)),
  )  # fmt: skip
  cj.save(path, made)


def main() -> None:
  """Prints one JSON line."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    photos(folder / 'local')
    bundle(folder / 'node.safetensors')
    adapt = (
      'adapt', f'--nodes={folder / "node.safetensors"}',
      f'--local={folder / "local"}', f'--out={folder / "edge.safetensors"}',
    )  # fmt: skip
    cases: dict[str, Callable[[], float]] = {
      name: functools.partial(answer, given) for name, given in ANSWERS.items()
    }
    last = f'first line of coalesce adapt, {IMAGES} images'
    cases[last] = functools.partial(first_line, adapt)
    times: dict[str, list[float]] = {name: [] for name in cases}
    # Interleaved, so that other work on the machine meets all alike.
    for _ in range(REPEATS):
      for name, measure in cases.items():
        times[name].append(measure())
  medians = {name: statistics.median(found) for name, found in times.items()}
  print(json.dumps({name: round(m, 2) for name, m in medians.items()}))


if __name__ == '__main__':
  main()

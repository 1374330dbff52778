"""Calls of the command line, and the files that they read."""

import json

import numpy as np
from PIL import Image

import coalesce_jax as cj
from coalesce_jax.cli import main
from tests import small

FEW = ['--steps=4', '--batch_size=8', '--critic_steps=1']


def node(path, seed=0, spec=small.IMAGES):
  cj.save(path, small.generator(seed, spec))
  return str(path)


def folder(path, count=12, size=8):
  path.mkdir()
  rng = np.random.default_rng(0)
  for i in range(count):
    pixels = rng.integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(path / f'{i:03d}.png')
  return str(path)


def run(capsys, *argv):
  """Exit code, the JSON line, the last line of stderr."""
  code = main.main(['coalesce', *argv])
  captured = capsys.readouterr()
  out = captured.out.strip().splitlines()
  assert len(out) == (code == 0)
  error = captured.err.strip().splitlines()
  return code, json.loads(out[0]) if out else None, error[-1] if error else ''


def refused(capsys, argv, match):
  """Asserts that a call exits with 2 and one line that says what is wrong."""
  code, _, error = run(capsys, *argv)
  assert code == 2 and match in error and error.startswith('coalesce')

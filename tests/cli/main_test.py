"""The command line: the practitioner's path, and bad usage in one line."""

import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from tests import small
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_practitioners_path_works_on_its_own(capsys, tmp_path):
  a, b = (
    calls.node(tmp_path / f'{k}.safetensors', i, small.PIXELS)
    for i, k in enumerate('ab')
  )
  local = calls.folder(tmp_path / 'local')
  out = tmp_path / 'out' / 'edge.safetensors'
  argv = [
    'adapt', f'--nodes={a},{b}', f'--local={local}', f'--out={out}',
    '--barycenter_steps=4', '--ternary_steps=4', '--ternary', *calls.FEW,
  ]  # fmt: skip
  code, result, _ = calls.run(capsys, *argv)
  assert code == 0 and result['local_samples'] == 12
  assert result['bytes'] < result['float_bytes']
  edge = cj.load(out)
  assert 'ternary' in edge.spec.encodings
  first = out.read_bytes()
  out.unlink()
  code, _, _ = calls.run(capsys, *argv)
  assert code == 0 and out.read_bytes() == first

  grid, array, many = (tmp_path / n for n in ('g.png', 'x.npz', 'many'))
  for target in (grid, array, many):
    code, _, _ = calls.run(
      capsys, 'sample', f'--node={out}', '--n=9', f'--out={target}'
    )
    assert code == 0
  with Image.open(grid) as image:
    assert image.size == (28, 28)
  with np.load(array) as arrays:
    assert arrays['images'].shape == (9, 8, 8, 1)
  assert len(list(many.iterdir())) == 9
  code, scores, _ = calls.run(
    capsys, 'evaluate', f'--node={out}', '--images=digits', '--samples=60',
    f'--local={local}', '--features=digits',
  )  # fmt: skip
  assert code == 0 and scores['features'] == 'digits64'
  assert scores['frechet'] > scores['real'] > 0.0
  assert scores['copied'] >= 0.0


@pytest.mark.slow
def test_the_program_reads_configurations_from_any_folder(tmp_path):
  """Without the experiments, and without the current folder on the path."""
  digits = ROOT / 'experiments' / 'coalesce' / 'configs' / 'digits.py'
  (tmp_path / 'mine.py').write_text(digits.read_text())
  program = """
    import sys
    sys.modules['experiments'] = None
    from coalesce_jax import __main__
    __main__.main()
    """
  done = subprocess.run(
    [sys.executable, '-c', textwrap.dedent(program), 'run',
     '--config=mine.py:quick', '--workdir=/proc/x'],
    capture_output=True, text=True, timeout=120, cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 2 and not done.stdout
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('coalesce run: /proc/x: not a writable folder')


@pytest.mark.parametrize(
  'argv,match',
  [
    (['nope'], 'unknown command'),
    (['adapt', '--nope=1'], 'nope'),
    (['data', '--dataset=digits', 'more'], 'more'),
    (['data', '--dataset=digits', '--devices=99'], 'JAX_NUM_CPU_DEVICES=99'),
    (['data', '--dataset=digits', '--devices=0'], 'devices'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)

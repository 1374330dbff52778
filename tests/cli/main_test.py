"""The command line: the practitioner's path, and bad input in one line."""

import dataclasses
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import textwrap

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import main
from coalesce_jax.models import generator
from tests import small

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


def test_the_practitioners_path_works_on_its_own(capsys, tmp_path):
  a, b = (node(tmp_path / f'{k}.safetensors', i) for i, k in enumerate('ab'))
  local = folder(tmp_path / 'local')
  out = tmp_path / 'out' / 'edge.safetensors'
  argv = [
    'adapt', f'--nodes={a},{b}', f'--local={local}', f'--out={out}',
    '--barycenter_steps=4', '--ternary', *FEW,
  ]  # fmt: skip
  code, result, _ = run(capsys, *argv)
  assert code == 0 and result['local_samples'] == 12
  assert result['bytes'] < result['float_bytes']
  edge = cj.load(out)
  assert edge.spec.ternary is not None
  first = out.read_bytes()
  out.unlink()
  code, _, _ = run(capsys, *argv)
  assert code == 0 and out.read_bytes() == first

  grid, array, many = (tmp_path / n for n in ('g.png', 'x.npz', 'many'))
  for target in (grid, array, many):
    code, _, _ = run(
      capsys, 'sample', f'--node={out}', '--n=9', f'--out={target}'
    )
    assert code == 0
  with Image.open(grid) as image:
    assert image.size == (28, 28)
  with np.load(array) as arrays:
    assert arrays['images'].shape == (9, 8, 8, 1)
  assert len(list(many.iterdir())) == 9
  code, scores, _ = run(
    capsys, 'evaluate', f'--node={out}', '--images=digits', '--samples=60',
    f'--local={local}', '--features=digits',
  )  # fmt: skip
  assert code == 0 and scores['features'] == 'digits64'
  assert scores['frechet'] > scores['real'] > 0.0
  assert scores['copied'] >= 0.0


@pytest.mark.slow
def test_stages_work_one_by_one(capsys, tmp_path):
  code, made, _ = run(
    capsys, 'pretrain', '--dataset=digits', f'--out={tmp_path}', '--width=4',
    *FEW,
  )  # fmt: skip
  assert code == 0 and len(made['bundles']) == 2
  provenance = cj.load(made['bundles'][1]).spec.provenance
  assert provenance['classes'] == '5,6,7,8,9'
  meta = tmp_path / 'meta.safetensors'
  code, result, _ = run(
    capsys, 'barycenter', f'--nodes={",".join(made["bundles"])}',
    '--weights=0.25,0.75', '--method=recursive', '--new_generator',
    f'--out={meta}', *FEW,
  )  # fmt: skip
  assert code == 0 and 'position' in result
  code, result, _ = run(
    capsys, 'ternarize', f'--node={meta}',
    f'--local={folder(tmp_path / "local")}',
    f'--out={tmp_path / "t.safetensors"}', *FEW,
  )  # fmt: skip
  assert code == 0 and result['bytes'] < result['float_bytes']
  kept = tmp_path / 'kept.safetensors'
  code, result, _ = run(
    capsys, 'mixture', f'--nodes={",".join(made["bundles"])}',
    '--weights=0.25,0.75', '--refine_steps=2', f'--out={kept}',
  )  # fmt: skip
  assert code == 0 and result['bytes'] == kept.stat().st_size
  code, _, error = run(
    capsys, 'ternarize', f'--node={kept}', f'--local={tmp_path / "local"}',
    f'--out={tmp_path / "no.safetensors"}', *FEW,
  )  # fmt: skip
  assert code == 2 and 'kept.safetensors: a mixture' in error
  grid = tmp_path / 'kept.png'
  code, _, _ = run(capsys, 'sample', f'--node={kept}', f'--out={grid}')
  assert code == 0 and grid.exists()


def test_data_and_help_are_told(capsys):
  code, summary, _ = run(capsys, 'data', '--dataset=digits')
  assert code == 0 and sum(summary['train']['classes']) == 1442
  for argv in (['coalesce', '--help'], ['coalesce', 'adapt', '--help']):
    assert main.main(argv) == 0
  text = capsys.readouterr().out
  assert 'barycenter' in text and '--anchor' in text


def truncated(path):
  node(path)
  path.write_bytes(path.read_bytes()[:-10])


def bomb(path):
  node(path)
  data = path.read_bytes()
  (length,) = struct.unpack('<Q', data[:8])
  header = json.loads(data[8 : 8 + length])
  header['generator/out/kernel']['shape'] = [10**6, 10**6]
  text = json.dumps(header).encode()
  path.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])


def pickled(path):
  path.write_bytes(pickle.dumps({'weights': [1.0] * 1000}))


def other_shape(path):
  width = generator.freeze({'width': 2})
  spec = dataclasses.replace(
    small.IMAGES, image_shape=(28, 28, 1), options=width, critic_options=width
  )
  node(path, spec=spec)


@pytest.mark.parametrize(
  'damage,match',
  [
    (truncated, 'truncated'),
    (bomb, 'its network has'),
    (pickled, 'not a safetensors file'),
    (other_shape, 'makes'),
    (lambda path: None, 'no such file'),
  ],
)
def test_bad_bundles_exit_with_2_and_leave_nothing(
  capsys, tmp_path, damage, match
):
  a = node(tmp_path / 'a.safetensors')
  damage(tmp_path / 'b.safetensors')
  local = folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  code, _, error = run(
    capsys, 'adapt', f'--nodes={a},{tmp_path / "b.safetensors"}',
    f'--local={local}', f'--out={tmp_path / "edge.safetensors"}', *FEW,
  )  # fmt: skip
  assert code == 2 and match in error and 'b.safetensors' in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_judges_are_critics_of_other_bundles(capsys, tmp_path):
  a, b = (node(tmp_path / f'{k}.safetensors', i) for i, k in enumerate('ab'))
  local = folder(tmp_path / 'local')
  argv = [
    'adapt', f'--nodes={a}', f'--judges={a},{b}', f'--local={local}', *FEW
  ]  # fmt: skip
  out = tmp_path / 'edge.safetensors'
  code, result, _ = run(capsys, *argv, f'--out={out}')
  assert code == 0
  # One a judge, and the anchor's.
  assert len(result['w1_smooth']) == 3
  cj.save(tmp_path / 'c.safetensors', cj.load(b), critic=False)
  argv[2] += f',{tmp_path / "c.safetensors"}'
  before = sorted(tmp_path.rglob('*'))
  code, _, error = run(capsys, *argv, f'--out={tmp_path / "no.safetensors"}')
  assert code == 2 and 'c.safetensors: no critic like' in error
  assert sorted(tmp_path.rglob('*')) == before


def broken_images(path):
  folder(path)
  (path / '003.png').write_bytes(b'\x89PNG\r\n\x1a\n broken')


@pytest.mark.parametrize(
  'make,match',
  [
    (lambda path: path.mkdir(), 'no .png'),
    (broken_images, '003.png: not a readable image'),
    (lambda path: folder(path, count=7), '7 images, at least 8'),
    (lambda path: None, 'no such file or folder'),
  ],
)
def test_bad_local_images_exit_with_2_and_leave_nothing(
  capsys, tmp_path, make, match
):
  a = node(tmp_path / 'a.safetensors')
  make(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  for command in ('adapt', 'ternarize'):
    name = 'nodes' if command == 'adapt' else 'node'
    code, _, error = run(
      capsys, command, f'--{name}={a}', f'--local={tmp_path / "local"}',
      f'--out={tmp_path / "edge.safetensors"}', *FEW,
    )  # fmt: skip
    assert code == 2 and match in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
  'weights,match',
  [
    ('0.5,0.4', 'sum to 0.9'),
    ('1', '1 weights for 2'),
    ('a,b', 'not numbers'),
  ],
)
def test_bad_weights_exit_with_2(capsys, tmp_path, weights, match):
  a, b = (node(tmp_path / f'{k}.safetensors', i) for i, k in enumerate('ab'))
  local = folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  for rest in (
    ['mixture'], ['barycenter', *FEW], ['adapt', f'--local={local}', *FEW],
  ):  # fmt: skip
    code, _, error = run(
      capsys, *rest, f'--nodes={a},{b}', f'--weights={weights}',
      f'--out={tmp_path / "meta.safetensors"}',
    )  # fmt: skip
    assert code == 2 and match in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
  'critic,more,match',
  [
    (False, ['--fixed_samples=9'], 'a.safetensors: no critic'),
    (True, [], 'fixed_samples'),
    (True, ['--fixed_samples=9', '--method=recursive'], "'joint' or 'mixture'"),
    (True, ['--fixed_samples=9', '--objective=ball'], 'needs radii'),
  ],
)
def test_refining_needs_critics_and_fixed_samples(
  capsys, tmp_path, critic, more, match
):
  paths = [tmp_path / f'{name}.safetensors' for name in 'ab']
  for i, path in enumerate(paths):
    made = small.generator(i, small.IMAGES)
    cj.save(path, made, critic=critic)
  code, _, error = run(
    capsys, 'barycenter', f'--nodes={paths[0]},{paths[1]}', '--refine_steps=2',
    f'--out={tmp_path / "meta.safetensors"}', *more, *FEW,
  )  # fmt: skip
  assert code == 2 and match in error
  assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.parametrize(
  'argv,match',
  [
    (['nope'], 'unknown command'),
    (['adapt', '--nope=1'], 'nope'),
    (['adapt'], 'nodes'),
    (['adapt', '--nodes=a', '--local=b', '--out=c', '--packing=trits'],
     'needs --ternary'),
    (['pretrain', '--out=a', '--critic_learning_rate=-1'],
     'critic_learning_rate -1.0 is not positive'),
    (['sample', '--node=a', '--out=b', '--n=x'], 'n'),
    (['sample', '--node=/nowhere/a', '--out=b'], 'no such file'),
    (['data', '--dataset=nope'], 'nope'),
    (['run', '--workdir=x', '--config=nope.py'], 'nope.py'),
    (['data', '--dataset=digits', 'more'], 'more'),
    (['data', '--dataset=digits', '--devices=99'], 'JAX_NUM_CPU_DEVICES=99'),
    (['data', '--dataset=digits', '--devices=0'], 'devices'),
    (
      ['run', '--workdir=x', '--config=experiments/coalesce/configs/digits.py',
       '--config.adapt.stepz=3'],
      'stepz',
    ),
    (
      ['run', '--workdir=/proc/x',
       '--config=experiments/coalesce/configs/digits.py:quick'],
      '/proc/x',
    ),
    (['report', '--workdir=/nowhere'], 'no finished run'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  code, _, error = run(capsys, *argv)
  assert code == 2 and match in error and error.startswith('coalesce')


def test_an_unwritable_result_exits_with_2(capsys, tmp_path):
  (tmp_path / 'file').write_text('')
  code, _, error = run(
    capsys, 'pretrain', f'--out={tmp_path / "file" / "below"}', *FEW
  )
  assert code == 2 and 'not a writable folder' in error


def test_the_program_reads_configurations_from_any_folder(tmp_path):
  """Without the experiments, and without the current folder on the path."""
  digits = ROOT / 'experiments' / 'coalesce' / 'configs' / 'digits.py'
  (tmp_path / 'mine.py').write_text(digits.read_text())
  program = """
    import sys
    sys.modules['experiments'] = None
    from coalesce_jax.cli import main
    main.main_console()
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


def test_features_are_trained_on_labelled_images_and_kept(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  a = node(tmp_path / 'a.safetensors')
  (tmp_path / 'mine').mkdir()
  for name in ('one', 'two'):
    folder(tmp_path / 'mine' / name)
  local = folder(tmp_path / 'held_out', count=20)
  argv = ['evaluate', f'--node={a}', f'--images={local}']
  code, scores, _ = run(capsys, *argv, f'--labelled={tmp_path / "mine"}')
  assert code == 0 and scores['features'].startswith('own64-')
  assert len(list((tmp_path / 'cache').rglob('features-*.npz'))) == 1
  code, _, error = run(capsys, *argv, f'--labelled={local}')
  assert code == 2 and 'no labels' in error

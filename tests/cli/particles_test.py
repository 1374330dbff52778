"""barycenter --method=particles: files, reports and refusals."""

import json

import numpy as np
import pytest

import coalesce_jax as cj
from tests import small
from tests.cli import calls


def paths(tmp_path):
  return ','.join(
    calls.node(tmp_path / f'{name}.safetensors', k)
    for k, name in enumerate('ab')
  )


def archived(path):
  with np.load(path, allow_pickle=False) as archive:
    return archive['images']


def test_particles_write_samples_and_say_whether_they_rest(capsys, tmp_path):
  out = tmp_path / 'made.npz'
  argv = [
    'barycenter', f'--nodes={paths(tmp_path)}', '--method=particles',
    '--weights=0.25,0.75', '--n=12', '--steps=5', '--scores=kernel',
  ]  # fmt: skip
  code, found, _ = calls.run(capsys, *argv, f'--out={out}')
  assert code == 0 and found['n'] == 12
  assert found['bandwidth'] > 0.0 < found['spread']
  assert found['converged'] == (found['speed'] < 0.01)
  images = archived(out)
  shape = cj.load(tmp_path / 'a.safetensors').spec.image_shape
  assert images.shape == (12, *shape) and images.dtype == np.uint8
  grid = tmp_path / 'made.png'
  assert calls.run(capsys, *argv, f'--out={grid}')[0] == 0
  assert grid.read_bytes().startswith(b'\x89PNG')
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'a.safetensors', 'b.safetensors', 'made.npz', 'made.png',
  ]  # fmt: skip


@pytest.mark.slow
def test_critics_move_particles_and_a_finished_run_is_not_run_again(
  capsys, tmp_path
):
  out, work = tmp_path / 'made.npz', tmp_path / 'work'
  argv = [
    'barycenter', f'--nodes={paths(tmp_path)}', '--method=particles',
    '--n=12', '--steps=4', '--batch_size=4', '--critic_steps=1',
    f'--out={out}', f'--workdir={work}',
  ]  # fmt: skip
  code, found, _ = calls.run(capsys, *argv)
  assert code == 0 and found['bandwidth'] > 0.0
  rows = [
    json.loads(x) for x in (work / 'metrics.jsonl').read_text().splitlines()
  ]
  assert [r['step'] for r in rows] == [1, 2, 3, 4]
  assert all(r['spread'] > 0.0 for r in rows)
  # Each critic scores its input above the particles, or learns to.
  gaps = np.array([r['gap'] for r in rows])
  assert gaps.shape == (4, 2) and np.all(np.isfinite(gaps)) and gaps.any()
  first = archived(out)
  out.unlink()
  assert calls.run(capsys, *argv)[1] == found
  np.testing.assert_array_equal(archived(out), first)
  assert len((work / 'metrics.jsonl').read_text().splitlines()) == 4


@pytest.mark.parametrize(
  'more,match',
  [
    (['--out=made.safetensors'], 'made.safetensors: ends in .safetensors'),
    (['--out=made.png', '--weights=0.5'], 'weights'),
    (['--out=made.png', '--objective=w1'], "--objective: the method 'particl"),
    (['--out=made.png', '--new_generator'], '--new_generator: the method'),
    (['--out=made.png', '--alpha=0'], 'alpha=0'),
    (
      ['--out=made.png', '--scores=kernel', '--workdir=made'],
      '--workdir: the scores',
    ),
    (['--out=made.png', '--generator_batches=2'], '--generator_batches: the m'),
    (['--out=made.png', '--method=joint', '--n=4'], "--n: the method 'joint'"),
  ],
)
def test_what_particles_cannot_use_is_refused(capsys, tmp_path, more, match):
  argv = [
    'barycenter', f'--nodes={paths(tmp_path)}', '--method=particles',
    *(flag.replace('made', str(tmp_path / 'made')) for flag in more),
  ]  # fmt: skip
  before = sorted(tmp_path.iterdir())
  calls.refused(capsys, argv, match)
  assert sorted(tmp_path.iterdir()) == before


def test_vectors_and_missing_bundles_are_refused(capsys, tmp_path):
  vectors = tmp_path / 'v.safetensors'
  calls.node(vectors, spec=small.VECTORS)
  for nodes, match in (
    (vectors, 'v.safetensors'),
    ('none.safetensors', 'none'),
  ):
    argv = [
      'barycenter', f'--nodes={nodes}', '--method=particles',
      f'--out={tmp_path / "made.png"}',
    ]  # fmt: skip
    calls.refused(capsys, argv, match)

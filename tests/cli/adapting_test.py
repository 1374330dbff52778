"""adapt, ternarize: bad bundles, bad images, judges."""

import dataclasses
import json
import pickle
import struct

import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.models import generator
from tests import agreement
from tests import small
from tests.cli import calls


def truncated(path):
  calls.node(path)
  path.write_bytes(path.read_bytes()[:-10])


def bomb(path):
  calls.node(path)
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
  calls.node(path, spec=spec)


@pytest.mark.parametrize(
  'damage,match',
  [
    (truncated, 'truncated'),
    (bomb, 'its network has'),
    (pickled, 'a pickle, which is never loaded'),
    (other_shape, 'makes'),
    (lambda path: None, 'no such file'),
  ],
)
def test_bad_bundles_exit_with_2_and_leave_nothing(
  capsys, tmp_path, damage, match
):
  a = calls.node(tmp_path / 'a.safetensors')
  damage(tmp_path / 'b.safetensors')
  local = calls.folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  code, _, error = calls.run(
    capsys, 'adapt', f'--nodes={a},{tmp_path / "b.safetensors"}',
    f'--local={local}', f'--out={tmp_path / "edge.safetensors"}', *calls.FEW,
  )  # fmt: skip
  assert code == 2 and match in error and 'b.safetensors' in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_judges_are_critics_of_other_bundles(capsys, tmp_path):
  a, b = (
    calls.node(tmp_path / f'{k}.safetensors', i, small.PIXELS)
    for i, k in enumerate('ab')
  )
  local = calls.folder(tmp_path / 'local')
  argv = [
    'adapt', f'--nodes={a}', f'--judges={a},{b}', f'--local={local}', *calls.FEW
  ]  # fmt: skip
  out = tmp_path / 'edge.safetensors'
  code, result, _ = calls.run(capsys, *argv, f'--out={out}')
  assert code == 0
  # One a judge, and the anchor's.
  assert len(result['w1_smooth']) == 3
  cj.save(tmp_path / 'c.safetensors', cj.load(b), critic=False)
  argv[2] += f',{tmp_path / "c.safetensors"}'
  before = sorted(tmp_path.rglob('*'))
  code, _, error = calls.run(
    capsys, *argv, f'--out={tmp_path / "no.safetensors"}'
  )
  assert code == 2 and 'c.safetensors: no critic inside' in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
@pytest.mark.parametrize('command', ['adapt', 'ternarize'])
def test_the_critic_is_kept_or_dropped(capsys, tmp_path, caplog, command):
  a = calls.node(tmp_path / 'a.safetensors', 0, small.PIXELS)
  local = calls.folder(tmp_path / 'local')
  flag = 'nodes' if command == 'adapt' else 'node'
  made, paths = {}, {}
  for critic in ('keep', 'drop'):
    paths[critic] = tmp_path / f'{critic}.safetensors'
    code, made[critic], _ = calls.run(
      capsys, command, f'--{flag}={a}', f'--local={local}', *calls.FEW,
      f'--critic={critic}', f'--out={paths[critic]}',
    )  # fmt: skip
    assert code == 0
    assert made[critic]['file_bytes'] == paths[critic].stat().st_size
  assert made['drop']['file_bytes'] == made['drop']['bytes']
  assert made['keep']['bytes'] == made['drop']['bytes']
  assert made['keep']['file_bytes'] > made['keep']['bytes']
  kept, dropped = (cj.load(paths[critic]) for critic in ('keep', 'drop'))
  assert kept.critic is not None and dropped.critic is None
  assert agreement.equal(kept.params, dropped.params)
  for argv in (
    ['sample', '--n=2', f'--out={tmp_path / "x.png"}'],
    ['export', f'--out={tmp_path / "x.onnx"}'],
  ):
    assert calls.run(capsys, *argv, f'--node={paths["drop"]}')[0] == 0
  caplog.clear()
  code, _, _ = calls.run(
    capsys, 'adapt', f'--nodes={paths["drop"]}', f'--local={local}',
    f'--out={tmp_path / "again.safetensors"}', *calls.FEW,
  )  # fmt: skip
  assert code == 0
  said = f'{paths["drop"]} holds no critic: training starts with new critics'
  assert said in caplog.messages


def broken_images(path):
  calls.folder(path)
  (path / '003.png').write_bytes(b'\x89PNG\r\n\x1a\n broken')


def mixed_depths(path):
  calls.folder(path, count=3)
  calls.folder(path / 'deep', count=4)


@pytest.mark.parametrize(
  'make,match',
  [
    (mixed_depths, 'at least 8 are needed; add'),
    (lambda path: path.mkdir(), 'the folder is empty'),
    (broken_images, '003.png: not a readable image'),
    (
      lambda path: calls.folder(path, count=7),
      'at least 8 are needed; add',
    ),
    (lambda path: None, 'no such file or folder'),
  ],
)
def test_bad_local_images_exit_with_2_and_leave_nothing(
  capsys, tmp_path, make, match
):
  a = calls.node(tmp_path / 'a.safetensors')
  make(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  for command in ('adapt', 'ternarize'):
    name = 'nodes' if command == 'adapt' else 'node'
    code, _, error = calls.run(
      capsys, command, f'--{name}={a}', f'--local={tmp_path / "local"}',
      f'--out={tmp_path / "edge.safetensors"}', *calls.FEW,
    )  # fmt: skip
    assert code == 2 and match in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
  'argv,match',
  [
    (['adapt'], 'nodes'),
    (['adapt', '--nodes=a', '--local=b', '--out=c.safetensors',
      '--packing=trits'],
     'needs --ternary'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)


BORROW = generator.freeze({'hidden': (6, 4)})
NODES = generator.Spec('mlp', 4, (8, 8, 1), BORROW, 'mlp', BORROW)


@pytest.mark.parametrize(
  ('flags', 'match'),
  [
    (['--method=piggyback', '--anchor=0.5'], '--anchor is a setting of'),
    (['--method=piggyback', '--judges={a}'], '--judges is a setting of'),
    (['--share=0.5'], '--share is a setting of --method=piggyback'),
    (['--method=piggyback', '--nodes={a},{c}'], 'all must share one'),
    (['--method=piggyback', '--share=2'], 'not in [0, 1]'),
    (['--method=other'], 'method'),
  ],
)
def test_settings_of_the_other_method_are_refused(
  capsys, tmp_path, flags, match
):
  a = calls.node(tmp_path / 'a.safetensors', 0, NODES)
  c = calls.node(tmp_path / 'c.safetensors', 1, small.PIXELS)
  local = calls.folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  argv = [
    'adapt', f'--nodes={a}', f'--local={local}', *calls.FEW,
    f'--out={tmp_path}/edge.safetensors',
    *(flag.format(a=a, c=c) for flag in flags),
  ]  # fmt: skip
  calls.refused(capsys, argv, match)
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_a_node_borrows_filters_of_two_bundles(capsys, tmp_path):
  a, b = (
    calls.node(tmp_path / f'{k}.safetensors', i, NODES)
    for i, k in enumerate('ab')
  )
  local = calls.folder(tmp_path / 'local')
  out = tmp_path / 'edge.safetensors'
  code, result, error = calls.run(
    capsys, 'adapt', '--method=piggyback', f'--nodes={a},{b}',
    f'--local={local}', *calls.FEW, f'--out={out}',
  )  # fmt: skip
  assert code == 0, error
  made, first = cj.load(out), cj.load(a)
  assert made.spec.options == first.spec.options
  assert not agreement.equal(made.params, first.params)
  # Of the kernel 6 x 4, one filter is new and three are mixed of eight.
  count = sum(x.size for x in trees.flatten(first.params).values())
  assert result['stored'] == count - 24 + 6 + 24

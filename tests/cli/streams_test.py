"""stream run, add, apply, export and inspect: files in, files out, refusals."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.continual import family
from coalesce_jax.continual import family_files
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.transforms import piggyback
from tests import locked
from tests import small
from tests.cli import calls
from tests.cli import translation_test
from tests.continual import family_test

OPTIONS = generator_lib.freeze({'hidden': (6, 4)})
DIGITS = generator_lib.Spec('mlp', 4, (8, 8, 1), OPTIONS)
UNET = generator_lib.Spec(
  'unet', 0, (8, 8, 3), generator_lib.freeze({'width': 2, 'downs': 2}),
  condition_shape=(8, 8, 3),
)  # fmt: skip
CONFIG = """
from coalesce_jax.pipeline import stream_defaults

def get_config(variant=''):
  config = stream_defaults.get_config()
  stream_defaults.shorten(config, 'quick')
  config.update({settings})
  return config
"""


def made(path, spec=DIGITS, count=2):
  """A family of random members, drawn by NumPy."""
  shares = ((layer_names.inner_kernels(spec.network), 0.5),)
  members, bank = [], None
  for t in range(count):
    params = small.drawn(spec, t).params
    bank = piggyback.empty(params, shares) if bank is None else bank
    latent, _ = piggyback.start(small.jax.random.key(t), params, bank, shares)
    members.append(family.Member(f'task-{t}', spec, latent))
    bank = piggyback.grow(bank, latent)
  whole = family.Family(tuple(members), tuple(trees.flatten(bank)))
  family_files.save(path, whole)
  return whole


def test_a_family_is_inspected_sampled_and_exported(tmp_path, capsys):
  path, one = tmp_path / 'f.safetensors', tmp_path / 'one.safetensors'
  whole = made(path)
  code, found, error = calls.run(capsys, 'inspect', str(path))
  assert code == 0, error
  for row, member in zip(found['members'], whole.members, strict=True):
    assert row['name'] == member.name
    assert row['parameters'] == trees.count(member.latent) == row['bytes'] // 4
    assert row['whole'] == trees.count(small.drawn(DIGITS).params)
  assert found['bytes'] == path.stat().st_size > 4 * found['parameters']
  named = [f'--family={path}', '--task=task-1']
  code, _, error = calls.run(capsys, 'stream', 'export', *named, f'--out={one}')
  assert code == 0, error
  exported = cj.load(one)
  for a, b in zip(
    *(small.jax.tree.leaves(x.params) for x in (exported, whole.generator(1))),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
  code, found, _ = calls.run(capsys, 'inspect', f'--node={one}')
  assert code == 0 and found['manifest']['network'] == 'mlp'
  samples = tmp_path / 'x.npz'
  code, _, error = calls.run(
    capsys, 'stream', 'apply', *named, '--n=3', f'--out={samples}'
  )
  assert code == 0, error
  wanted = np.asarray(exported.sample(small.jax.random.key(0), 3))
  np.testing.assert_allclose(
    np.load(samples)['images'], (np.clip(wanted, -1, 1) + 1) * 127.5, atol=0.51
  )


def test_a_translator_of_a_family_translates_pictures(tmp_path, capsys):
  path = tmp_path / 'f.safetensors'
  whole = made(path, UNET)
  image = np.random.default_rng(1).integers(0, 256, (9, 14, 3), np.uint8)
  Image.fromarray(image).save(tmp_path / 'x.png')
  argv = [
    'stream', 'apply', f'--family={path}', '--task=task-1',
    f'--out={tmp_path}/y.png',
  ]  # fmt: skip
  calls.refused(capsys, argv, '--input is missing')
  code, _, error = calls.run(capsys, *argv, f'--input={tmp_path}/x.png')
  assert code == 0, error
  with Image.open(tmp_path / 'y.png') as opened:
    found = np.asarray(opened)
  wanted = np.asarray(whole.generator(1)(image[None]))[0]
  np.testing.assert_allclose(found, (wanted + 1.0) * 127.5, atol=0.51)


@pytest.mark.slow
def test_a_task_joins_a_family_whose_bytes_stay(tmp_path, capsys):
  path = tmp_path / 'f.safetensors'
  made(path)
  kept, before = path.read_bytes(), family_test.payload(path)
  argv = [
    'stream', 'add', f'--family={path}', '--data=digits:1-3', '--steps=2',
    '--batch_size=4', '--share=0.5',
  ]  # fmt: skip
  larger = tmp_path / 'larger.safetensors'
  code, found, error = calls.run(
    capsys, *argv, '--name=third', f'--out={larger}'
  )
  assert code == 0, error
  assert path.read_bytes() == kept
  assert found['tasks'] == ['task-0', 'task-1', 'third']
  assert family_test.payload(larger)[: len(before)] == before
  # Of the only inner kernel, 6 x 4 with 2 free filters; the bank has 6.
  whole = trees.count(small.drawn(DIGITS).params)
  assert found['stored'] == whole - 24 + 6 * 2 + 6 * 2
  assert found['energy'] > 0.0
  before = [family_files.load_member(path, t).params for t in range(2)]
  after = [family_files.load_member(larger, t).params for t in range(2)]
  for a, b in zip(*map(small.jax.tree.leaves, (before, after)), strict=True):
    np.testing.assert_array_equal(a, b)
  # The name is taken; nothing is trained.
  argv[2] = f'--family={larger}'
  calls.refused(capsys, [*argv, '--name=third'], "member 'third' already")


@pytest.mark.parametrize(
  ('argv', 'match'),
  [
    (['apply', '--task=no', '--out={tmp}/x.png'], "no member 'no'"),
    (['apply', '--task=task-0', '--out={tmp}/x.gif'], 'ends in .gif'),
    (
      ['apply', '--task=task-0', '--input={tmp}', '--out={tmp}/x.png'],
      'makes images of latents and translates none',
    ),
    (['export', '--task=task-0', '--out={tmp}/f.safetensors'], 'would replace'),
    (['add', '--data=digits', '--name=task-0'], "member 'task-0' already"),
    (['add', '--data=digits', '--name=No'], 'task name'),
    (['add', '--data=digits:x', '--name=x'], "task 'digits:x'"),
    (['add', '--data={tmp}/no', '--name=x'], 'no'),
    (['add', '--data=digits', '--out={tmp}/x.png'], 'ends in .png'),
    (
      ['add', '--data=digits', '--name=x', '--critic_width=4'],
      '--critic_width is of families that translate',
    ),
    (['add', '--data=fashion_mnist', '--name=x'], '(8, 8, 1)'),
  ],
)
def test_bad_usage_is_refused_in_one_line(tmp_path, capsys, argv, match):
  path = tmp_path / 'f.safetensors'
  made(path)
  before = {p: p.read_bytes() for p in tmp_path.iterdir()}
  given = [word.format(tmp=tmp_path) for word in argv]
  calls.refused(
    capsys, ['stream', given[0], f'--family={path}', *given[1:]], match
  )
  assert before == {p: p.read_bytes() for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
  ('settings', 'match'),
  [
    ("learner='x'", "learner 'x' is not one of"),
    ('tasks=()', 'tasks: there are none'),
    ("tasks=('digits', 'digits')", 'occurs twice'),
    ("tasks=('A b=digits',)", 'task name'),
    ('steps=0', 'below 1'),
    ('share=2.0', 'not in [0, 1]'),
    ("options={'wrong': 1}", "no option 'wrong'"),
    ("tasks=('digits', 'emoji')", 'all must translate images, or all'),
  ],
)  # fmt: skip
def test_a_bad_configuration_is_refused_in_one_line(
  tmp_path, capsys, settings, match
):
  config = tmp_path / 'c.py'
  config.write_text(CONFIG.replace('{settings}', settings))
  argv = ['stream', 'run', f'--config={config}', f'--workdir={tmp_path}/w']
  calls.refused(capsys, argv, match)
  assert not (tmp_path / 'w').exists()


def test_only_families_have_tasks(tmp_path, capsys):
  node = calls.node(tmp_path / 'a.safetensors', 0, small.PIXELS)
  argv = ['stream', 'export', f'--family={node}', '--task=x']
  calls.refused(
    capsys, [*argv, f'--out={tmp_path}/b.safetensors'], 'a bundle of one'
  )
  calls.refused(capsys, ['inspect', str(tmp_path / 'no')], 'no such file')


@pytest.mark.slow
def test_a_stream_of_pairs_is_run_resumed_and_continued(tmp_path, capsys):
  for name in ('a', 'b', 'c'):
    translation_test.pairs(tmp_path / name)
  config = tmp_path / 'c.py'
  tasks = ', '.join(f"'{tmp_path}/{name}'" for name in 'abc')
  config.write_text(
    CONFIG.replace(
      '{settings}',
      f"tasks=({tasks},), layout='aligned', side=16, width=2, critic_width=2, "
      'steps=2, fast_compile=False',
    )
  )
  argv = ['stream', 'run', f'--config={config}']
  code, found, error = calls.run(capsys, *argv, f'--workdir={tmp_path}/w')
  assert code == 0, error
  path = tmp_path / 'w' / 'family.safetensors'
  scores = json.loads((tmp_path / 'w' / 'scores.json').read_text())
  matrix = np.array(scores['scores']['l1'], float)
  assert np.array_equal(matrix[1:, 0], np.full(2, matrix[0, 0]))
  assert list(found['final']) == ['a', 'b', 'c']
  assert 'forgetting' in (tmp_path / 'w' / 'tables.md').read_text()
  # The same command once more changes nothing.
  kept = path.read_bytes()
  assert calls.run(capsys, *argv, f'--workdir={tmp_path}/w')[0] == 0
  assert path.read_bytes() == kept
  # Two tasks and one more are the three.
  config.write_text(config.read_text().replace(f", '{tmp_path}/c'", ''))
  code, _, error = calls.run(capsys, *argv, f'--workdir={tmp_path}/v')
  assert code == 0, error
  two = tmp_path / 'v' / 'family.safetensors'
  code, _, error = calls.run(
    capsys, 'stream', 'add', f'--family={two}', f'--data={tmp_path}/c',
    '--layout=aligned', '--steps=2', '--critic_width=2', '--batch_size=4',
  )  # fmt: skip
  assert code == 0, error
  assert two.read_bytes() == kept


def test_a_family_that_another_process_reads_or_writes_is_not_added_to(
  tmp_path, capsys
):
  path, out = tmp_path / 'f.safetensors', tmp_path / 'g.safetensors'
  made(path)
  other = locked.elsewhere(tmp_path / '.f.safetensors.lock')
  argv = ['stream', 'add', f'--family={path}', '--data=digits', '--name=x']
  calls.refused(capsys, [*argv, f'--out={out}'], 'f.safetensors')
  other.communicate()
  assert not out.exists()


@pytest.mark.slow
def test_a_killed_add_leaves_the_family_as_it_was_or_larger(tmp_path):
  path = tmp_path / 'f.safetensors'
  made(path)
  kept = path.read_bytes()
  argv = [
    sys.executable, '-m', 'coalesce_jax', 'stream', 'add', f'--family={path}',
    '--data=digits:1-3', '--name=third', '--steps=400', '--batch_size=4',
  ]  # fmt: skip
  for seconds in (4.0, 7.0, 9.0):
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    names = [m.name for m in family_files.load(path).members]
    if len(names) == 2:
      assert path.read_bytes() == kept
  done = subprocess.run(argv, capture_output=True, text=True, timeout=200)
  assert done.returncode == (0 if len(names) == 2 else 2), done.stderr
  members = family_files.load(path).members
  assert [m.name for m in members] == ['task-0', 'task-1', 'third']

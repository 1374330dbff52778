"""Random command lines: sane and insane flags, good and bad files.

Whatever is asked, a command ends with 0 and one JSON line, with 1 and the word
that it stopped, or with 2 and one line; never with a traceback. What ends with
2 leaves no file behind. `RANDOM_COMMANDS=SEED` tries other lines.
"""

import json
import os
import pathlib
import random
import re
import shutil
import sys
import zipfile

from absl import flags
import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import commands
from coalesce_jax.cli import main
from tests import small
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST = int(os.environ.get('RANDOM_COMMANDS', '0'))
LINES = 20
STEPS = ('steps', 'barycenter_steps', 'ternary_steps', 'refine_steps')
INSANE = (
  '', '-1', '0', 'nan', 'inf', '-inf', '1e400', 'abc', '1,', ',', '1,nan',
  '99999999999999999999', '4294967296', '../..', '~', '~nobody/x', 'None',
  'a\nb', '\u0665', '--', "'; rm x", '(', '/dev/null/x',
)  # fmt: skip
# Flags whose sane values keep a run short.
SANE = {
  'steps': ('2', '3'),
  'barycenter_steps': ('2',),
  'ternary_steps': ('2',),
  'refine_steps': ('0', '1'),
  'fixed_samples': ('0', '8'),
  'batch_size': ('4', '8'),
  'critic_steps': ('1',),
  'generator_batches': ('1', '2'),
  'learning_rate': ('1e-3', '1'),
  'critic_learning_rate': ('0', '1e-3'),
  'width': ('4',),
  'latent_size': ('4',),
  'n': ('1', '3'),
  'samples': ('40',),
  'seed': ('0', '7', str(2**32 - 1)),
  'anchor': ('0', '0.5'),
  'weights': ('0.5,0.5', '1', '0.3,0.7'),
  'radii': ('0.5', '0.5,0.5'),
  'augment': ('', 'translation', 'flip,cutout:0.2', 'blur'),
  'network': ('dcgan', 'mlp', 'mixture', 'none'),
  'split': ('0-4|5-9->0-9', 'cat|dog->cat,dog', '0|1->1', 'overlapping', '->'),
  'image_size': ('8', '16x16', '7'),
  'track': ('tensorboard', 'tensorboard,none'),
  'devices': ('1', '64'),
  'verbosity': ('0', '-1'),
  'traceback': ('false',),
}


@pytest.fixture(scope='module', name='files')
def _files(tmp_path_factory):
  """A folder with what people name on a command line, good and bad."""
  folder = tmp_path_factory.mktemp('files')
  for i, name in enumerate('ab'):
    calls.node(folder / f'{name}.safetensors', i, small.PIXELS)
  calls.node(folder / 'points.safetensors', 0, small.VECTORS)
  good = (folder / 'a.safetensors').read_bytes()
  (folder / 'cut.safetensors').write_bytes(good[:-9])
  (folder / 'flipped.safetensors').write_bytes(good[:40] + b'!' + good[41:])
  cj.save(folder / 'bare.safetensors', small.generator(0, small.PIXELS),
          critic=False)  # fmt: skip
  calls.folder(folder / 'local')
  calls.folder(folder / 'few', count=3)
  for name in ('cat', 'dog'):
    (folder / 'classes').mkdir(exist_ok=True)
    calls.folder(folder / 'classes' / name)
  calls.folder(folder / 'mixed')
  Image.new('RGBA', (9, 5), (1, 2, 3, 0)).save(folder / 'mixed' / 'z.png')
  calls.folder(folder / 'broken')
  (folder / 'broken' / 'x.png').write_bytes(b'\x89PNG\r\n\x1a\n')
  (folder / 'nothing').mkdir()
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
  np.savez(folder / 'images.npz', images=images, labels=np.arange(20) % 2)
  np.savez(folder / 'nan.npz', images=np.full((9, 8, 8, 1), np.nan))
  np.savez(folder / 'bright.npz', images=np.full((9, 8, 8, 1), 0.5))
  np.save(folder / 'objects.npy', np.array([{}], object), allow_pickle=True)
  (folder / 'text.txt').write_text('hello\n')
  (folder / 'empty').write_bytes(b'')
  with zipfile.ZipFile(folder / 'a.zip', 'w') as archive:
    archive.writestr('a.png', 'x')
  config = (ROOT / 'experiments/coalesce/configs/digits.py').read_text()
  (folder / 'digits.py').write_text(config)
  (folder / 'broken.py').write_text('def get_config(:\n')
  (folder / 'raises.py').write_text('def get_config():\n  return {}[1]\n')
  return folder


def inputs(folder, rng):
  """A path to read: mostly a good one."""
  good = ['a.safetensors', 'b.safetensors', 'local', 'images.npz', 'classes',
          'digits']  # fmt: skip
  if rng.random() < 0.6:
    return rng.choice(good)
  every = sorted(p.name for p in folder.iterdir())
  return rng.choice([*every, 'missing', *INSANE, 'https://host/x'])


def outputs(rng):
  """A path to write."""
  return rng.choice(
    ['out.safetensors', 'new/out.safetensors', 'out', 'out.png', 'out.onnx',
     'out.npz', 'out.mlir', 'out.jpg', 'a.safetensors', 'local', 'text.txt',
     'text.txt/x.png', '/proc/x', *rng.sample(INSANE, 2)]
  )  # fmt: skip


def fitting(command, name, rng):
  """The value of a path that can go well."""
  if name in ('node', 'nodes', 'judges'):
    found = rng.sample(['a.safetensors', 'b.safetensors'], rng.choice((1, 2)))
    return ','.join(found if name != 'node' else found[:1])
  if name == 'out':
    return {'sample': rng.choice(('out.png', 'out', 'out.npz')),
            'export': 'out.onnx', 'pretrain': 'out', 'share': 'out'}.get(
              command, 'out.safetensors')  # fmt: skip
  if name == 'config':
    return 'digits.py:quick'
  if name in ('workdir', 'data_dir'):
    return 'work' if name == 'workdir' else 'nothing'
  if name in ('dataset', 'images', 'labelled'):
    return rng.choice(('digits', 'classes', 'images.npz'))
  return rng.choice(('local', 'images.npz'))


def value(command, flag, folder, rng, care):
  """A value of a flag; with care one that can go well."""
  name = flag.name
  if rng.random() > care:
    if name in ('out', 'workdir'):
      return outputs(rng)
    return rng.choice((rng.choice(INSANE), inputs(folder, rng)))
  choices = getattr(flag.parser, 'enum_values', None)
  if choices:
    return rng.choice(choices)
  if name in SANE:
    return rng.choice(SANE[name])
  if flag.boolean:
    return 'true'
  return fitting(command, name, rng)


def line(folder, rng):
  """A random command line."""
  names = list(commands.TABLE)
  # The whole pipeline takes a minute: it is asked for with care only rarely.
  name = rng.choice([n for n in names if n != 'run'] * 3 + ['run'])
  command = commands.TABLE[name]
  values = flags.FlagValues()
  main.define(command, values)
  care = rng.choice((0.6, 0.9, 0.99))
  argv = [name]
  for key in sorted(values):
    short = key in STEPS and key != 'refine_steps'
    if key in command.required:
      given = rng.random() < 0.95
    else:
      given = short or rng.random() < 0.25
    if given:
      argv.append(f'--{key}={value(name, values[key], folder, rng, care)}')
  if name == 'run':
    argv.append('--config.seeds=0')
  if rng.random() < 0.05:
    argv.append(rng.choice(['extra', '--unknown=1', '-x', '--help', '']))
  return argv


def tree(folder):
  return {
    str(path): path.stat().st_mtime_ns if path.is_file() else None
    for path in folder.rglob('*')
  }


def cleared(folder, before):
  """Removes what a command wrote."""
  for path in sorted(folder.rglob('*'), reverse=True):
    if str(path) not in before:
      shutil.rmtree(path) if path.is_dir() else path.unlink()


def faults(argv, code, out, err, left):
  """What is wrong with the end of a command."""
  said = [
    row for row in err.splitlines() if not re.match(r'\d\d:\d\d:\d\d ', row)
  ]
  if 'Traceback' in err or 'a fault of coalesce_jax' in err:
    return 'a traceback'
  if code == 0:
    if '--help' in argv:
      return None
    rows = out.strip().splitlines()
    return None if len(rows) == 1 and json.loads(rows[0]) else 'no JSON line'
  if out:
    return 'output of a command that failed'
  if len(said) != 1 or not said[0].startswith('coalesce'):
    return f'{len(said)} lines'
  if code == 1:
    ends = ('stopped', 'diverged', 'not enough')
    return None if any(word in said[0] for word in ends) else 'no stop message'
  if code != 2:
    return f'exit code {code}'
  return f'left behind: {sorted(left)[:3]}' if left else None


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(FIRST, FIRST + 10))
def test_any_command_line_ends_in_plain_words(
  seed, files, tmp_path, monkeypatch, capsys
):
  folder = tmp_path / 'files'
  shutil.copytree(files, folder)
  monkeypatch.chdir(folder)
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', '')
  rng = random.Random(seed)
  found = []
  for _ in range(LINES):
    argv = line(folder, rng)
    before = tree(folder)
    monkeypatch.setattr(sys, 'argv', ['coalesce', *argv])
    code = main.main(['coalesce', *argv])
    captured = capsys.readouterr()
    after = tree(folder)
    left = {path for path in after if before.get(path, 0) != after[path]}
    left |= before.keys() - after.keys()
    fault = faults(argv, code, captured.out, captured.err, left)
    if fault:
      found.append((fault, argv, captured.err[-1500:]))
    if left:
      cleared(folder, before)
      shutil.copytree(files, folder, dirs_exist_ok=True)
  text = '\n\n'.join(f'{fault}\n{argv}\n{err}' for fault, argv, err in found)
  assert not found, f'{len(found)} of {LINES}\n{text}'

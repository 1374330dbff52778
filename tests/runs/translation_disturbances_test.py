"""A translator's training, killed at three moments: the same bytes in the end.

Real processes of `coalesce translate train`, which save at every chunk. Their
environment tells them at which moment they are killed.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys
import orbax.checkpoint as ocp
from coalesce_jax.cli import main
from coalesce_jax.translation import settings

# A run of minutes would save as often as this one of seconds.
for method in settings.METHODS:
  object.__setattr__(settings.default(method).schedule, 'save_seconds', 0.0)
moment, _, at = os.environ['KILLED'].partition('=')
begin = ocp.StandardCheckpointer.save
finish = ocp.StandardCheckpointer.wait_until_finished
replace, saves = os.replace, 0

def kill():
  os.kill(os.getpid(), signal.SIGKILL)

def save(self, *given):
  global saves
  saves += 1
  if moment == 'before' and saves == int(at):
    kill()
  begin(self, *given)

def wait(self):
  if moment == 'within' and saves == int(at):
    kill()
  finish(self)

def put(source, target):
  replace(source, target)
  if moment == 'after' and os.path.basename(target) == at:
    kill()

ocp.StandardCheckpointer.save = save
ocp.StandardCheckpointer.wait_until_finished = wait
os.replace = put
sys.exit(main.main(sys.argv))
"""
# A chunk has 25 steps, and every fourth is scored.
STEPS = 400
ARGUMENTS = [
  'translate', 'train', '--data=data', '--out=model.safetensors',
  f'--steps={STEPS}', '--crop_size=16', '--load_size=18', '--batch_size=2',
  '--ngf=4', '--ndf=4', '--n_layers_d=1', '--downs=2', '--verbosity=-1',
]  # fmt: skip
# Rates at which scores rise, too, so that the best model is not the last.
METHODS = {
  'pix2pix': ['--dropout=0.3', '--lambda_l1=0.01', '--learning_rate=0.03'],
  'cyclegan': [
    '--net_g=unet', '--pool_size=5', '--lambda_cycle=0.1',
    '--learning_rate=0.01', '--seed=1',
  ],
}  # fmt: skip


def run(folder, method, killed=''):
  """Exit code, standard output, standard error."""
  process = subprocess.run(
    [sys.executable, '-c', PROGRAM, *ARGUMENTS, f'--method={method}',
     *METHODS[method]],
    cwd=folder, text=True, capture_output=True, timeout=300,
    env=os.environ | {'PYTHONPATH': str(ROOT), 'KILLED': killed},
  )  # fmt: skip
  return process.returncode, process.stdout, process.stderr


def inputs(folder):
  """Pairs side by side: a picture, and its negative in another contrast."""
  rng = np.random.default_rng(0)
  (folder / 'data').mkdir(parents=True)
  for k in range(24):
    image = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(5, 0).repeat(5, 1)
    both = np.concatenate([image, 200 - image // 2], 1)
    Image.fromarray(both).save(folder / 'data' / f'{k:02d}.png')
  return folder


def made(folder):
  """All results and records, by their names."""
  work = folder / 'model.safetensors.run'
  results = [
    *folder.glob('*.safetensors'),
    *work.glob('pictures/*'),
    work / 'metrics.jsonl',
  ]
  return {path.name: path.read_bytes() for path in results}


def checkpoints(folder, method):
  """Steps that are saved whole."""
  found = folder.glob(f'model.safetensors.run/checkpoints/{method}/*/manifest*')
  return sorted(int(path.parent.name) for path in found)


@pytest.mark.slow
@pytest.mark.parametrize('method', list(METHODS))
def test_a_translator_does_not_depend_on_kills(tmp_path, method):
  whole, folder = (inputs(tmp_path / name) for name in ('whole', 'killed'))
  code, wanted, error = run(whole, method)
  assert code == 0 and len(wanted.splitlines()) == 1, error
  rows = map(json.loads, made(whole)['metrics.jsonl'].splitlines())
  scores = [r['score'] for r in rows if r['stage'] == f'{method}/selection']
  assert len(scores) == 4 and min(scores) < scores[-1]
  moments = (
    # A row is recorded whose state is not saved.
    ('before=6', [100, 125]),
    # The best model so far is in the checkpoints alone.
    ('within=6', [225, 250]),
    # The records are complete, of the results the first is written.
    ('after=model.safetensors', [STEPS - 25, STEPS]),
  )
  for moment, saved in moments:
    code, out, error = run(folder, method, moment)
    assert code == -signal.SIGKILL and not out, error
    assert checkpoints(folder, method) == saved
  assert made(folder).keys() == {'model.safetensors', 'metrics.jsonl'}
  code, out, error = run(folder, method)
  assert code == 0 and out == wanted, error
  assert made(folder) == made(whole)

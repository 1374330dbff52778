"""Commands that are disturbed: the same bytes in the end, or one line.

Real processes of `coalesce adapt`, which save at every chunk. The parent tells
them by their environment what happens at which save.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests import small
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import os, pathlib, resource, signal, sys, time
import orbax.checkpoint as ocp
from coalesce_jax.cli import main
from coalesce_jax.methods import adaptation

# A run of minutes would save as often as this one of seconds.
schedule = adaptation.Config().schedule
for name, value in {'save_seconds': 0.0, 'chunk': 4}.items():
  object.__setattr__(schedule, name, value)
at = {name: int(step) for name, _, step in (
  word.partition('=') for word in os.environ['DISTURBED'].split()
)}
saves, begin = 0, ocp.StandardCheckpointer.save
finish = ocp.StandardCheckpointer.wait_until_finished

def save(self, *given):
  global saves
  saves += 1
  begin(self, *given)

def wait(self):
  if saves == at.get('killed'):
    os.kill(os.getpid(), signal.SIGKILL)
  if saves == at.get('paused'):
    del at['paused']  # Each save waits twice.
    pathlib.Path('paused').touch()
    while pathlib.Path('paused').exists():
      time.sleep(0.01)
  finish(self)
  if saves == at.get('full'):
    # From now on the disk takes nothing more.
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (at['bytes'], hard))

ocp.StandardCheckpointer.save = save
ocp.StandardCheckpointer.wait_until_finished = wait
sys.exit(main.main(sys.argv))
"""
STEPS = 24
ARGUMENTS = [
  'adapt', '--nodes=node.safetensors', '--local=local', f'--steps={STEPS}',
  '--out=edge.safetensors', '--batch_size=8', '--critic_steps=1', '--augment=',
  '--verbosity=-1',
]  # fmt: skip


def start(folder, disturbed=''):
  return subprocess.Popen(
    [sys.executable, '-c', PROGRAM, *ARGUMENTS], cwd=folder, text=True,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    env=os.environ | {'PYTHONPATH': str(ROOT), 'DISTURBED': disturbed},
  )  # fmt: skip


def run(folder, disturbed=''):
  """Exit code, standard output, lines of standard error."""
  process = start(folder, disturbed)
  out, err = process.communicate(timeout=170)
  lines = [x for x in err.splitlines() if 'Logging before' not in x]
  return process.returncode, out, lines


def made(folder):
  """The bytes of the result and the rows of the records."""
  rows = (folder / 'edge.safetensors.run' / 'metrics.jsonl').read_text()
  return (folder / 'edge.safetensors').read_bytes(), rows


def inputs(folder):
  folder.mkdir()
  calls.node(folder / 'node.safetensors', spec=small.PIXELS)
  calls.folder(folder / 'local')
  return folder


@pytest.fixture(scope='module', name='whole')
def _whole(tmp_path_factory):
  """What an undisturbed command leaves."""
  folder = inputs(tmp_path_factory.mktemp('whole') / 'run')
  code, out, err = run(folder)
  assert code == 0 and len(out.splitlines()) == 1, err
  found = made(folder)
  steps = [json.loads(line)['step'] for line in found[1].splitlines()]
  assert steps == [4, 8, 12, 16, 20, 24]
  return found


@pytest.fixture(name='folder')
def _folder(tmp_path):
  return inputs(tmp_path / 'run')


def steps_of(folder):
  return folder / 'edge.safetensors.run' / 'checkpoints' / 'adapted'


def checkpoints(folder):
  """Steps that were saved whole, and their folders."""
  whole = [p.parent for p in steps_of(folder).glob('*/manifest.json')]
  return sorted((int(path.name), path) for path in whole)


def flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


@pytest.mark.slow
def test_a_kill_within_a_save_changes_nothing_in_the_end(folder, whole):
  code, _, _ = run(folder, 'killed=3')
  assert code == -signal.SIGKILL and not (folder / 'edge.safetensors').exists()
  assert [step for step, _ in checkpoints(folder)] == [4, 8]
  assert (steps_of(folder) / '12').is_dir()
  # Twice, and the newest checkpoint that is left is damaged meanwhile.
  code, _, _ = run(folder, 'killed=2')
  assert code == -signal.SIGKILL
  newest = checkpoints(folder)[-1][1]
  file = max((newest / 'state').rglob('*'), key=lambda f: f.stat().st_size)
  flip(file)
  code, _, err = run(folder)
  assert code == 0 and sum('is damaged' in line for line in err) == 1, err
  assert made(folder) == whole


@pytest.mark.slow
def test_two_damaged_checkpoints_change_nothing_in_the_end(folder, whole):
  code, _, _ = run(folder, 'killed=4')
  assert code == -signal.SIGKILL
  assert [step for step, _ in checkpoints(folder)] == [8, 12]
  for _, path in checkpoints(folder):
    flip(path / 'manifest.json')
  code, _, err = run(folder)
  assert code == 0 and sum('is damaged' in line for line in err) == 2, err
  assert made(folder) == whole


@pytest.mark.slow
def test_a_second_process_is_refused_and_changes_nothing(folder, whole):
  first = start(folder, 'paused=2')
  deadline = time.monotonic() + 150
  while not (folder / 'paused').exists():
    assert first.poll() is None and time.monotonic() < deadline
    time.sleep(0.05)
  code, out, err = run(folder)
  assert code == 2 and not out and len(err) == 1
  assert f'edge.safetensors.run is in use by process {first.pid} on ' in err[0]
  (folder / 'paused').unlink()
  _, err = first.communicate(timeout=150)
  assert first.returncode == 0, err
  assert made(folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize('size', [100, 3000])
def test_a_full_disk_is_said_in_one_line_and_changes_nothing(
  folder, whole, size
):
  code, out, err = run(folder, f'full=2 bytes={size}')
  # 1 or 2: of the kind of fault, which is the command line's to say.
  assert code in (1, 2) and not out and len(err) == 1, err
  assert 'edge.safetensors.run/' in err[0]
  assert (
    'File too large; raise the limit of file sizes and run the same '
    in (err[0])
  )
  steps = [step for step, _ in checkpoints(folder)]
  assert err[0].endswith(f': it goes on from step {steps[-1]} of adapted')
  code, _, err = run(folder)
  assert code == 0 and not err
  assert made(folder) == whole

"""Commands that are asked to stop by a signal."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests import small
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]


def started(folder, *argv):
  """A command as a process."""
  return subprocess.Popen(
    [sys.executable, '-m', 'coalesce_jax', *argv], cwd=folder, text=True,
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip


@pytest.mark.parametrize(
  ('number', 'code'), [(signal.SIGTERM, 1), (signal.SIGINT, 130)]
)
def test_a_command_that_saves_nothing_stops_at_once(tmp_path, number, code):
  calls.node(tmp_path / 'a.safetensors', 0, small.PIXELS)
  process = started(
    tmp_path, 'evaluate', '--node=a.safetensors', '--images=digits',
    '--samples=1000000',
  )  # fmt: skip
  assert 'starting' in process.stderr.readline()
  os.kill(process.pid, number)
  out, err = process.communicate(timeout=30)
  name = signal.Signals(number).name
  assert (process.returncode, out) == (code, '')
  assert err.splitlines()[-2:] == [
    'coalesce evaluate: stopping', f'coalesce evaluate: stopped by {name}'
  ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
  ('number', 'code'), [(signal.SIGTERM, 1), (signal.SIGINT, 130)]
)
def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path, number, code):
  calls.node(tmp_path / 'a.safetensors', 0, small.PIXELS)
  calls.folder(tmp_path / 'local')
  argv = [
    'adapt', '--nodes=a.safetensors', '--local=local', '--out=e.safetensors',
    '--steps=4000', '--batch_size=8', '--critic_steps=1',
  ]  # fmt: skip
  process = started(tmp_path, *argv)
  for line in process.stderr:
    if re.search(r'step [1-9]\d* of', line):
      break
  time.sleep(0.5)  # The next chunks ask whether to stop.
  os.kill(process.pid, number)
  out, err = process.communicate(timeout=60)
  assert (process.returncode, out) == (code, '')
  asked, last = err.splitlines()[-2:]
  assert asked == (
    'coalesce adapt: stopping once the state is saved; Ctrl-C again stops at '
    'once'
  )
  found = re.search(r'stopped, saved at step (\d+) of 4000; the same', last)
  assert found and 0 < int(found[1]) < 4000
  assert not (tmp_path / 'e.safetensors').exists()
  process = started(tmp_path, *argv)
  _, err = process.communicate(timeout=300)
  assert process.returncode == 0, err
  resumed = (tmp_path / 'e.safetensors').read_bytes()
  process = started(tmp_path, *argv, '--workdir=whole')
  process.communicate(timeout=300)
  assert (tmp_path / 'e.safetensors').read_bytes() == resumed

"""What goes wrong becomes an exit code and plain words in one place."""

import errno
import os
import signal
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

from coalesce_jax.cli import boundary
from coalesce_jax.core import errors
from coalesce_jax.core import signals
from tests.cli import calls


def guarded(capsys, error, show=False):
  """Exit code and lines of stderr of a command that raises."""

  def run():
    raise error

  code = boundary.guard('coalesce x', run, traces=show)
  return code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
  ('error', 'code', 'line'),
  [
    (ValueError('--n=0: too\n  few'), 2, 'coalesce x: --n=0: too few'),
    (FileNotFoundError(errno.ENOENT, 'No such file', 'a.npz'), 2,
     'coalesce x: a.npz: No such file'),
    (OSError(errno.ENOSPC, 'No space left on device', '/d/f'), 1,
     'coalesce x: /d/f: No space left on device; free space and run the same '
     'again'),
    (errors.Interrupted('saved at step 4 of 9'), 1,
     'coalesce x: stopped, saved at step 4 of 9; the same command with the '
     'same --workdir goes on from there'),
    (errors.Diverged('not finite after step 3'), 1,
     'coalesce x: diverged: not finite after step 3'),
    (errors.Failed('task 2 failed'), 1, 'coalesce x: task 2 failed'),
    (KeyboardInterrupt(), 130, 'coalesce x: stopped by SIGINT'),
    (signals.Stopped(signal.SIGINT), 130, 'coalesce x: stopped by SIGINT'),
    (signals.Stopped(signal.SIGTERM), 1, 'coalesce x: stopped by SIGTERM'),
  ],
)  # fmt: skip
def test_what_is_the_users_or_the_machines_is_one_line(
  capsys, error, code, line
):
  assert guarded(capsys, error) == (code, [line])


@pytest.mark.parametrize(
  'error',
  [MemoryError(), RuntimeError('RESOURCE_EXHAUSTED: Out of memory: 9 bytes')],
)
def test_too_little_memory_is_one_line_with_advice(capsys, error):
  code, (line,) = guarded(capsys, error)
  assert code == 1 and 'memory' in line and '--batch_size' in line


@pytest.mark.parametrize(
  'run',
  [
    lambda: {}['key'],
    lambda: None + 1,
    lambda: np.stack([]),  # A ValueError that a library raises.
    lambda: (_ for _ in ()).throw(AssertionError('x')),
    lambda: (_ for _ in ()).throw(RecursionError('deep')),
  ],
)
def test_a_fault_of_ours_keeps_its_traceback_and_says_whom_to_tell(capsys, run):
  assert boundary.guard('coalesce x', run) == 1
  first, *_, last = capsys.readouterr().err.splitlines()
  assert first == 'Traceback (most recent call last):'
  assert last.startswith('coalesce x: this is a fault of coalesce_jax')
  assert 'report it' in last and '`coalesce --version`' in last


def test_a_traceback_can_be_asked_for(capsys):
  code, lines = guarded(capsys, ValueError('no'), show=True)
  assert code == 2 and lines[0].startswith('Traceback')
  assert lines[-1] == 'coalesce x: no'


def test_a_reader_that_has_gone_is_no_fault():
  program = (
    'import sys\n'
    'from coalesce_jax.cli import boundary\n'
    "sys.exit(boundary.guard('x', lambda: boundary.result(['a' * 9] * 99999)))"
  )
  done = subprocess.run(
    ['bash', '-c', f'{sys.executable} -c "{program}" | head -c 1; '
     'echo ${PIPESTATUS[0]}'],
    capture_output=True, text=True, timeout=60,
  )  # fmt: skip
  assert done.stdout.endswith('1\n') and not done.stderr


def test_a_machine_without_the_wanted_device_is_one_line(tmp_path):
  done = subprocess.run(
    [sys.executable, '-m', 'coalesce_jax', 'data', '--dataset=digits'],
    capture_output=True, text=True, timeout=120,
    env={**os.environ, 'JAX_PLATFORMS': 'tpu'},
  )  # fmt: skip
  assert done.returncode == 2 and not done.stdout
  *_, line = done.stderr.splitlines()
  assert line.startswith('coalesce data: JAX_PLATFORMS=tpu: JAX finds no such')
  assert len(done.stderr.splitlines()) == 2  # With the line of the start.


def test_a_data_folder_needs_no_home(tmp_path, capsys, monkeypatch):
  """What names its own place asks for no other."""
  monkeypatch.setattr('pathlib.Path.home', classmethod(_homeless))
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.delenv('COALESCE_DATA', raising=False)
  calls.refused(
    capsys, ['data', '--dataset=mnist', f'--data_dir={tmp_path}'],
    'set HOME or XDG_CACHE_HOME',
  )  # fmt: skip


def _homeless(cls):
  raise RuntimeError('Could not determine home directory.')


def test_a_field_that_a_configuration_lacks_is_one_line(capsys):
  for read in (lambda c: c.trials, lambda c: c['trials']):
    run = lambda read=read: read(ml_collections.ConfigDict({'seed': 0}))
    assert boundary.guard('few_shot', run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('few_shot: --config: no such field, trials')

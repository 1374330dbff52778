"""Locks: one process at a time, and none that outlives its process."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from coalesce_jax.core import locks

# Only this module: a process that does not import JAX starts at once.
CHILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location('locks', sys.argv[3])
locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locks)
try:
  locks.acquire(sys.argv[1], 'the folder', shared=sys.argv[2] == 'shared')
except locks.Held as error:
  print(error, flush=True)
else:
  print('locked', flush=True)
  sys.stdin.read()
"""


def other(path, kind='alone'):
  """A process that takes a lock and keeps it, and what it says."""
  process = subprocess.Popen(
    [sys.executable, '-c', CHILD, str(path), kind, locks.__file__],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  return process, process.stdout.readline().strip()


def ended(process):
  process.stdin.close()
  process.stdout.close()
  process.wait()


def test_a_second_process_is_refused_in_one_line_that_names_the_first(tmp_path):
  release = locks.acquire(tmp_path / 'lock', 'the folder')
  process, said = other(tmp_path / 'lock')
  ended(process)
  who = f'process {os.getpid()} on {socket.gethostname()}'
  assert said == (
    f'the folder is in use by {who}; wait until it ends, or stop it'
  )
  release()
  assert not os.listdir(tmp_path)
  process, said = other(tmp_path / 'lock')
  assert said == 'locked'
  with pytest.raises(locks.Held, match=f'process {process.pid} on '):
    locks.acquire(tmp_path / 'lock', 'the folder')
  # No death leaves a lock behind.
  process.send_signal(signal.SIGKILL)
  process.wait()
  with locks.holding(tmp_path / 'lock', 'the folder'):
    pass
  ended(process)


def test_a_process_may_take_its_own_lock_again(tmp_path):
  releases = [locks.acquire(tmp_path / 'lock', 'it') for _ in range(2)]
  releases[0]()
  releases[0]()
  process, said = other(tmp_path / 'lock')
  ended(process)
  assert 'in use' in said
  releases[1]()
  process, said = other(tmp_path / 'lock')
  ended(process)
  assert said == 'locked'


def test_shared_locks_exclude_only_locks_that_are_not_shared(tmp_path):
  process, said = other(tmp_path / 'lock', 'shared')
  assert said == 'locked'
  release = locks.acquire(tmp_path / 'lock', 'it', shared=True)
  with pytest.raises(locks.Held):
    locks.acquire(tmp_path / 'lock', 'it')
  ended(process)
  locks.acquire(tmp_path / 'lock', 'it')
  process, said = other(tmp_path / 'lock', 'shared')
  ended(process)
  assert 'in use' in said
  release()


def test_a_lock_is_waited_for_where_that_is_asked_for(tmp_path):
  process, said = other(tmp_path / 'lock')
  assert said == 'locked'
  order = []
  timer = threading.Timer(0.3, lambda: (order.append('ended'), ended(process)))
  timer.start()
  with locks.holding(tmp_path / 'lock', 'it', wait=True):
    order.append('held')
  timer.join()
  assert order == ['ended', 'held']


def test_a_lock_in_a_folder_that_was_made_again_is_another(tmp_path):
  folder = tmp_path / 'a'
  folder.mkdir()
  release = locks.acquire(folder / 'lock', 'it')
  (folder / 'lock').unlink()
  again = locks.acquire(folder / 'lock', 'it')
  release()
  process, said = other(folder / 'lock')
  ended(process)
  assert 'in use' in said
  again()


def test_who_holds_a_lock_may_be_unknown(tmp_path):
  process, said = other(tmp_path / 'lock')
  for text in ('', 'x y\n', 'a b c'):
    (tmp_path / 'lock').write_text(text)
    with pytest.raises(locks.Held, match='by another process;'):
      locks.acquire(tmp_path / 'lock', 'it')
  ended(process)


def test_without_locks_of_the_file_system_work_goes_on(
  tmp_path, monkeypatch, caplog
):
  def refuse(descriptor, kind):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with caplog.at_level('WARNING'):
    with locks.holding(tmp_path / 'lock', 'it'):
      pass
  assert 'no lock on this file system' in caplog.text


def test_a_child_does_not_inherit_a_lock(tmp_path):
  release = locks.acquire(tmp_path / 'lock', 'it')
  child = subprocess.Popen(['sleep', '30'])
  release()
  process, said = other(tmp_path / 'lock')
  ended(process)
  child.kill()
  child.wait()
  assert said == 'locked'

"""Stop requests."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from coalesce_jax.core import signals

ALL = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize('number', ALL)
def test_the_first_signal_asks_and_the_handler_is_put_back(number):
  before = signal.getsignal(number)
  with signals.catch() as stop:
    assert not stop()
    os.kill(os.getpid(), number)
    assert stop()
  assert signal.getsignal(number) is before


@pytest.mark.parametrize('number', ALL)
def test_a_second_signal_is_obeyed_at_once(number):
  with pytest.raises(signals.Stopped, match=number.name) as caught:
    with signals.catch() as stop:
      assert not stop()
      for _ in range(2):
        os.kill(os.getpid(), number)
  assert caught.value.number == number


@pytest.mark.parametrize('number', ALL)
def test_a_signal_that_nobody_asks_for_is_obeyed_at_once(number):
  with pytest.raises(KeyboardInterrupt), signals.catch():
    os.kill(os.getpid(), number)


def test_a_hang_up_that_is_ignored_stays_ignored():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with signals.catch() as stop:
      os.kill(os.getpid(), signal.SIGHUP)
      assert not stop()
  finally:
    signal.signal(signal.SIGHUP, before)


def test_other_threads_catch_nothing():
  found = []

  def run():
    with signals.catch() as stop:
      found.append((stop(), signal.getsignal(signal.SIGTERM)))

  before = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert found == [(False, before)]


# Holds the main thread in one call that runs no Python, as a compiler does.
BUSY = """
  import hashlib
  from coalesce_jax.core import signals
  signals.GRACE = 0.2
  with signals.catch(lambda text: print(text, flush=True)) as stop:
    {asked}
    print('busy', flush=True)
    hashlib.pbkdf2_hmac('sha256', b'', b'', 200_000_000)
"""


def busy(asked):
  """A process whose main thread runs no Python, once it is busy."""
  program = textwrap.dedent(BUSY.format(asked='stop()' if asked else 'pass'))
  process = subprocess.Popen(
    [sys.executable, '-c', program], stdout=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == 'busy\n'
  time.sleep(0.5)  # The call begins.
  return process


@pytest.mark.parametrize(('number', 'code'), [(2, 130), (15, 1), (1, 1)])
def test_a_process_that_runs_no_python_ends_too(number, code):
  process = busy(asked=False)
  os.kill(process.pid, number)
  out, _ = process.communicate(timeout=30)
  assert out == 'stopping\n' and process.returncode == code


def test_a_process_that_shall_save_is_given_time_until_a_second_signal():
  process = busy(asked=True)
  os.kill(process.pid, signal.SIGINT)
  line = process.stdout.readline()
  assert line.startswith('stopping once the state is saved')
  assert process.poll() is None
  os.kill(process.pid, signal.SIGINT)
  out, _ = process.communicate(timeout=30)
  assert out == 'stopping\n' and process.returncode == 130

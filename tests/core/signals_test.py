"""Stop requests."""

import os
import signal

import pytest

from coalesce_jax.core import signals


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_handler_is_put_back(number):
  before = signal.getsignal(number)
  with signals.catch() as stop:
    assert not stop()
    os.kill(os.getpid(), number)
    assert stop()
  assert signal.getsignal(number) is before


def test_a_second_interrupt_is_obeyed_at_once():
  with signals.catch(), pytest.raises(KeyboardInterrupt):
    for _ in range(2):
      os.kill(os.getpid(), signal.SIGINT)

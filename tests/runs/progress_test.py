"""What long work shows of itself."""

import io
import sys
import time

import pytest

from coalesce_jax.runs import progress


@pytest.fixture(name='lines')
def _lines(monkeypatch):
  """The lines of the log, without those of other modules."""
  found = []

  def info(text, *args):
    found.append(text % args)

  monkeypatch.setattr(progress.logging, 'info', info)
  return found


@pytest.fixture(name='clock')
def _clock(monkeypatch):
  """A clock that is turned by hand."""
  now = [100.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def test_a_log_gets_the_first_and_last_step_and_some_between(lines, clock):
  show = progress.steps('pretrain', 100)
  for step, seconds, note in (
    (10, 40.0, ''), (20, 5.0, 'W1 3'), (30, 5.0, 'W1 2'), (40, 1.0, 'W1 1.5'),
    (100, 4.0, 'W1 1'),
  ):  # fmt: skip
    clock[0] += seconds
    show(step, note)
  # What came before the first step is no part of the rate.
  assert lines == [
    'pretrain: step 10 of 100',
    'pretrain: step 30 of 100, 2 a second, 35 s left, W1 2',
    'pretrain: step 100 of 100, 6 a second, W1 1',
  ]


def test_hooks_show_steps_and_ask_whether_to_stop(lines):
  made = progress.hooks('features', lambda: True)
  assert made.stop()
  with made.working('compiling'):
    made.progress(10, 20)
  made.progress(20, 20)
  assert lines[:2] == ['features: compiling', 'features: step 10 of 20']
  assert lines[2].startswith('features: step 20 of 20, ')


@pytest.mark.parametrize(
  ('rate', 'left'), [(1.0, '90 s'), (0.1, '15 min'), (0.01, '2.5 h')]
)
def test_times_have_fitting_units(lines, clock, rate, left):
  show = progress.steps('x', 110)
  show(10)
  clock[0] += 10 / rate
  show(20)
  assert lines[1].split(', ')[2] == f'{left} left'


def test_a_terminal_shows_a_bar_with_the_distance(monkeypatch):
  screen = io.StringIO()
  monkeypatch.setattr(screen, 'isatty', lambda: True, raising=False)
  monkeypatch.setattr(sys, 'stderr', screen)
  show = progress.steps('adapted', 4)
  for step in (2, 3, 4):
    time.sleep(0.11)  # The bar is drawn ten times a second.
    show(step, f'W1 {step}.5')
  text = screen.getvalue()
  assert 'adapted:  50%' in text and '| 3/4 ' in text and 'W1 3.5' in text


def test_work_without_steps_says_that_it_begins_and_goes_on(lines, monkeypatch):
  monkeypatch.setattr(progress, 'EVERY', 0.05)
  with progress.working('compiling'):
    assert lines == ['compiling']
    time.sleep(0.3)
  assert 'compiling, 0 s so far' in lines[1:-1]
  assert lines[-1] == 'compiling: done in 0 s'
  count = len(lines)
  time.sleep(0.2)
  assert len(lines) == count


def test_a_fault_ends_the_lines_too(lines, monkeypatch):
  monkeypatch.setattr(progress, 'EVERY', 0.05)
  with pytest.raises(ZeroDivisionError), progress.working('compiling'):
    _ = 1 / 0
  time.sleep(0.2)
  assert lines == ['compiling']

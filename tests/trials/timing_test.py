"""Times of cases in turns."""

import collections

import pytest

from coalesce_jax.training import loop
from coalesce_jax.trials import timing


def test_cases_run_in_turns_as_often_as_there_are_rounds():
  calls = []
  cases = {name: lambda name=name: calls.append(name) for name in 'abc'}
  spent = timing.interleave(cases, rounds=4)
  # Once to warm up, then four rounds in which every case runs once.
  assert collections.Counter(calls) == {'a': 5, 'b': 5, 'c': 5}
  rounds = [calls[i : i + 3] for i in range(0, 15, 3)]
  assert all(sorted(row) == ['a', 'b', 'c'] for row in rounds)
  assert len({tuple(row) for row in rounds[1:]}) > 1
  assert {name: len(times) for name, times in spent.items()} == {
    'a': 4, 'b': 4, 'c': 4
  }  # fmt: skip


def test_medians_of_ratios_meet_a_busy_moment_in_both():
  assert timing.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 4.0]) == 2.0
  assert timing.median([3.0, 1.0, 2.0]) == 2.0


def test_a_stop_ends_the_measurement():
  with pytest.raises(loop.Interrupted, match='while measuring'):
    timing.interleave({'a': lambda: None}, rounds=1, stop=lambda: True)


def test_what_is_timed_once_runs_once_and_is_returned():
  calls = []
  found, spent = timing.once(lambda: calls.append(1) or (len(calls), 'x'))
  assert found == (1, 'x') and len(calls) == 1
  assert set(spent) == {'seconds', 'cpu_seconds'}
  assert min(spent.values()) >= 0.0

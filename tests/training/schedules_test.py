"""Schedules: checks, chunks, warm-ups, joined histories."""

import numpy as np
import pytest

from coalesce_jax.training import schedules
from tests import small


def test_schedules_are_checked():
  with pytest.raises(ValueError, match='below 1'):
    schedules.Schedule(steps=0)
  with pytest.raises(ValueError, match='no multiple'):
    schedules.Schedule(steps=10, chunk=4, observe_every=6)
  with pytest.raises(ValueError, match='save_seconds nan'):
    schedules.Schedule(steps=10, save_seconds=float('nan'))
  with pytest.raises(ValueError, match='patience 0'):
    schedules.Schedule(steps=10, patience=0)


def test_chunk_of_divides_where_it_can():
  assert schedules.chunk_of(1000) == 50
  assert 84 % schedules.chunk_of(84) == 0
  assert 1 <= schedules.chunk_of(1) <= 50


def test_members_at_once_are_at_least_one():
  with pytest.raises(ValueError, match='at_once'):
    small.schedule(at_once=0)


def test_a_warm_up_that_is_not_asked_for_is_a_fifth_of_the_steps_at_most():
  assert schedules.warmup_of(None, 50, 1000) == 50
  assert schedules.warmup_of(None, 50, 100) == 20
  assert (
    schedules.warmup_of(70, 50, 100) == 70
    and schedules.warmup_of(0, 50, 9) == 0
  )


@pytest.mark.parametrize(
  ('steps', 'wanted', 'chunk'),
  [
    (100, 50, 50),
    (84, 50, 42),
    (90, 40, 30),
    # No divisor between a half and all of what is wanted.
    (97, 50, 49),
    (211, 50, 50),
    (3, 50, 2),
    (1, 50, 1),
  ],
)
def test_a_chunk_is_the_largest_divisor_near_what_is_wanted(
  steps, wanted, chunk
):
  assert schedules.chunk_of(steps, wanted) == chunk


def test_joined_histories_count_their_rounds_and_keep_what_all_have():
  first = {'step': np.array([2, 4]), 'w1': np.array([[1.0], [2.0]])}
  second = {'step': np.array([3]), 'w1': np.array([[5.0]]), 'x': np.ones(1)}
  found = schedules.joined([first, second])
  assert sorted(found) == ['round', 'step', 'w1']
  np.testing.assert_array_equal(found['step'], [2, 4, 3])
  np.testing.assert_array_equal(found['w1'], [[1.0], [2.0], [5.0]])
  np.testing.assert_array_equal(found['round'], [1, 1, 2])
  assert 'x' not in schedules.joined([second, first])

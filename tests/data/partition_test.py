"""Splits over nodes and few local samples."""

import numpy as np
import pytest

from coalesce_jax.data import partition

LABELS = np.tile(np.arange(10), 20)


def test_presets_are_those_of_the_paper():
  assert partition.parse('overlapping') == (
    ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    tuple(range(10)),
  )
  split = partition.parse('disjoint')
  assert split.nodes == ((0, 1, 2, 3), (4, 5, 6, 7)) and split.target == (8, 9)
  assert len(partition.parse('one_class').nodes) == 10


def test_explicit_splits_are_read():
  split = partition.parse('0,2-3|7->1,9')
  assert split == (((0, 2, 3), (7,)), (1, 9))


@pytest.mark.parametrize('text', ['0-4', '4-0->1', 'a->b', '1,1->2', '->1', ''])
def test_bad_splits_are_refused(text):
  with pytest.raises(ValueError, match='split'):
    partition.parse(text)


def test_classes_may_be_named():
  names = {'cat': 0, 'dog': 1, '1': 2, '0-4': 3}
  split = partition.parse('cat, dog|0->cat,1', names)
  assert split == (((0, 1), (0,)), (0, 2))
  assert partition.parse('0-4|0-1->dog', names) == (((3,), (0, 1)), (1,))
  with pytest.raises(ValueError, match="'bird' is neither a class of 'cat'"):
    partition.parse('cat|bird->cat', names)
  with pytest.raises(ValueError, match='occurs twice'):
    partition.parse('cat,0->dog', names)


def test_a_class_without_samples_is_told_with_those_that_have_some():
  with pytest.raises(ValueError, match='of class 2; there are 0, 1, 7$'):
    partition.indices(np.array([7, 1, 0, 1]), (0, 2))


def test_few_samples_are_distinct_in_class_and_repeatable():
  rows = partition.few(3, LABELS, (8, 9), 30)
  assert len(set(rows.tolist())) == 30
  assert set(LABELS[rows].tolist()) == {8, 9}
  np.testing.assert_array_equal(rows, partition.few(3, LABELS, (8, 9), 30))
  assert not np.array_equal(rows, partition.few(4, LABELS, (8, 9), 30))


@pytest.mark.parametrize('balanced', [False, True])
def test_fewer_samples_are_the_first_of_more(balanced):
  more = partition.few(0, LABELS, tuple(range(10)), 100, balanced)
  for n in (8, 33, 100):
    np.testing.assert_array_equal(
      more[:n], partition.few(0, LABELS, tuple(range(10)), n, balanced)
    )


@pytest.mark.parametrize('n', [8, 10, 25, 100])
def test_balanced_samples_hold_classes_to_within_one(n):
  counts = np.bincount(
    LABELS[partition.few(0, LABELS, tuple(range(10)), n, balanced=True)],
    minlength=10,
  )
  assert counts.sum() == n and counts.max() - counts.min() <= 1


def test_balanced_samples_go_on_when_a_class_is_used_up():
  labels = np.array([0] * 3 + [1] * 50)
  rows = partition.few(0, labels, (0, 1), 20, balanced=True)
  assert np.bincount(labels[rows]).tolist() == [3, 17]
  assert len(set(rows.tolist())) == 20


def test_uniform_samples_follow_the_shares_of_the_classes():
  """Of 1,000 draws of 10 out of 10 + 90, a tenth is of the small class."""
  labels = np.array([0] * 10 + [1] * 90)
  drawn = [labels[partition.few(s, labels, (0, 1), 10)] for s in range(1000)]
  # Hypergeometric: mean 1, variance 0.82 a draw; five standard errors.
  assert abs(10 - np.sum(drawn, axis=1).mean() - 1.0) < 5 * (0.82 / 1000) ** 0.5


def test_rows_of_classes_are_all_their_rows():
  rows = partition.indices(LABELS, (2, 7))
  assert LABELS[rows].tolist() == [2, 7] * 20
  parts = [
    partition.indices(LABELS, c) for c in partition.parse('disjoint').nodes
  ]
  assert not set(parts[0]) & set(parts[1])


def test_impossible_numbers_are_refused():
  with pytest.raises(ValueError, match='at least 8'):
    partition.few(0, LABELS, (1,), 7)
  with pytest.raises(ValueError, match='20 are there'):
    partition.few(0, LABELS, (1,), 21)
  with pytest.raises(ValueError, match='class 11'):
    partition.few(0, LABELS, (11,), 8)

"""Splits over nodes and few local samples."""

import numpy as np
import pytest

from coalesce_jax.data import nodes

LABELS = np.tile(np.arange(10), 20)


def test_presets_are_those_of_the_paper():
  assert nodes.parse('overlapping') == (
    ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
    tuple(range(10)),
  )
  split = nodes.parse('disjoint')
  assert split.nodes == ((0, 1, 2, 3), (4, 5, 6, 7)) and split.target == (8, 9)
  assert len(nodes.parse('one_class').nodes) == 10


def test_explicit_splits_are_read():
  split = nodes.parse('0,2-3|7->1,9')
  assert split == (((0, 2, 3), (7,)), (1, 9))


@pytest.mark.parametrize('text', ['0-4', '4-0->1', 'a->b', '1,1->2', '->1', ''])
def test_bad_splits_are_refused(text):
  with pytest.raises(ValueError, match='split'):
    nodes.parse(text)


def test_few_samples_are_distinct_in_class_and_repeatable():
  rows = nodes.few(3, LABELS, (8, 9), 30)
  assert len(set(rows.tolist())) == 30
  assert set(LABELS[rows].tolist()) == {8, 9}
  np.testing.assert_array_equal(rows, nodes.few(3, LABELS, (8, 9), 30))
  assert not np.array_equal(rows, nodes.few(4, LABELS, (8, 9), 30))


def test_fewer_samples_are_the_first_of_more():
  more = nodes.few(0, LABELS, tuple(range(10)), 100)
  np.testing.assert_array_equal(
    more[:8], nodes.few(0, LABELS, tuple(range(10)), 8)
  )


def test_impossible_numbers_are_refused():
  with pytest.raises(ValueError, match='at least 8'):
    nodes.few(0, LABELS, (1,), 7)
  with pytest.raises(ValueError, match='20 are there'):
    nodes.few(0, LABELS, (1,), 21)
  with pytest.raises(ValueError, match='class 11'):
    nodes.few(0, LABELS, (11,), 8)

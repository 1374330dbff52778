"""Verdicts: which method is ahead, by how much, in how many seeds."""

import numpy as np
import pytest

from coalesce_jax.runs import verdict

OTHER = {'frechet': [5.0, 6.0, 10.0]}


def test_the_edge_method_is_ahead():
  edge = [4.0, 3.0, 11.0]
  text = verdict.of({'edge_only': OTHER, 'adapted': {'frechet': edge}})
  spread = np.std(np.array(OTHER['frechet']) - edge, ddof=1)
  assert text == (
    'The edge method is ahead: adapted has a Frechet distance of 6.00, lower '
    'by 1.00 than the best baseline, edge only (7.00). In 2 of 3 seeds '
    'adapted is lower; the paired differences are 1.00 ± '
    f'{spread:.2f} (mean and standard deviation). The difference is smaller '
    'than its deviation over seeds.'
  )


def test_the_edge_method_is_not_ahead_and_the_verdict_says_so():
  rows = {
    'adapted': {'frechet': [8.0, 9.5, 12.0], 'bytes': [1000] * 3},
    'ternary': {'frechet': [9.0, 10.5, 13.0], 'bytes': [100] * 3},
    'node_0': OTHER,
    'transfer': {'frechet': [50.0, 50.0, 50.0]},
  }
  text = verdict.of(rows)
  assert text.startswith(
    'The edge method is not ahead: node 0 has the lowest Frechet distance, '
    '7.00, lower by 2.83 than that of adapted (9.83). In 3 of 3 seeds node '
    '0 is lower; the paired differences are 2.83 ± 0.76 '
  )
  assert text.endswith(
    ' Ternary weights take 100 bytes instead of 1,000; their distance is '
    'higher by 1.00.'
  )
  assert 'smaller than' not in text
  rows['ternary']['frechet'] = [1.0, 1.0, 1.0]
  text = verdict.of(rows)
  assert text.startswith('The edge method is ahead: ternary has a Frechet')
  assert text.endswith('their distance is lower by 8.83.')


@pytest.mark.parametrize(
  ('edge', 'other', 'wanted'),
  [
    ([1.0], [2.0], 'That is one seed: run several'),
    ([1.0, 1.0], [2.0], 'different seeds, so they are not paired'),
    ([1.0, None], [None, 2.0], 'No seed has both distances'),
    ([1.0, 3.0], [3.0, 1.0], 'No method is ahead: adapted and transfer have'),
  ],
)
def test_what_cannot_be_compared_is_said(edge, other, wanted):
  rows = {'adapted': {'frechet': edge}, 'transfer': {'frechet': other}}
  assert wanted in verdict.of(rows)


def test_the_metamodel_and_the_mixture_are_no_baselines():
  rows = {
    'barycenter': {'frechet': [1.5, 2.5, 2.0]},
    'all_nodes': {'frechet': [9.0, 9.0, 9.0]},
    'adapted': {'frechet': [4.0, 3.0, 5.0]},
  }
  assert verdict.of(rows) == ''
  text = verdict.of(rows | {'transfer': OTHER})
  assert text.startswith(
    'The edge method is ahead: adapted has a Frechet distance of 4.00, lower '
    'by 3.00 than the best baseline, transfer (7.00).'
  )
  assert (
    ' For comparison: the metamodel before adaptation has 2.00, lower by 2.00; '
    'all nodes, kept as one generator, have 9.00, higher by 5.00.'
  ) in text


def test_without_an_edge_method_or_another_there_is_no_verdict():
  assert verdict.of({}) == verdict.of({'transfer': OTHER}) == ''
  assert verdict.of({'adapted': OTHER, 'ternary': {'frechet': [None]}}) == ''

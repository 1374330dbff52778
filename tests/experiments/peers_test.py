"""Our exact references against POT's."""

import sys

import pytest

from experiments.ground_truth import peers

FIELDS = {
  'case',
  'sizes',
  'ours',
  'peer',
  'relative_difference',
  'our_seconds',
  'peer_seconds',
  'ratio',
}


@pytest.mark.parametrize('seed', range(3))
def test_values_agree_with_those_of_pot(seed):
  rows = peers.compare(seed, repeats=1, quick=True)
  assert len(rows) == 4
  for row in rows:
    assert row['peer'] > 0.01, row['case']
    assert row['ours'] == pytest.approx(row['peer'], rel=1e-6), row['case']


def test_rows_say_what_was_compared_and_how_long_it_took():
  rows = peers.compare(0, repeats=2, quick=True)
  assert len({row['case'] for row in rows}) == len(rows)
  for row in rows:
    assert set(row) == FIELDS
    gap = abs(row['ours'] - row['peer'])
    assert row['relative_difference'] * row['peer'] == pytest.approx(gap)
    assert row['our_seconds'] > 0.0 and row['peer_seconds'] > 0.0
    assert row['ratio'] * row['peer_seconds'] == pytest.approx(
      row['our_seconds']
    )


def test_a_seed_gives_its_values_again_and_another_gives_others():
  first, again, other = (
    [row['ours'] for row in peers.compare(seed, repeats=1, quick=True)]
    for seed in (0, 0, 1)
  )
  assert first == again
  assert all(a != b for a, b in zip(first, other, strict=True))


def test_calls_are_timed_in_turns_after_one_that_is_not(monkeypatch):
  calls = []
  case = peers.Case(
    'none',
    '1',
    lambda: calls.append('ours') or 2.0,
    lambda: calls.append('theirs') or 1.0,
  )
  monkeypatch.setattr(peers, '_cases', lambda seed, quick: [case])
  (row,) = peers.compare(0, repeats=3)
  assert calls == ['ours', 'theirs'] * 4
  assert row['relative_difference'] == 1.0


def test_the_table_has_a_line_for_every_row():
  rows = peers.compare(0, repeats=1, quick=True)
  header, rule, *lines = peers.table(rows).splitlines()
  assert len(lines) == len(rows)
  assert len({line.count('|') for line in (header, rule, *lines)}) == 1
  for line, row in zip(lines, rows, strict=True):
    assert row['case'] in line and f'{row["ours"]:.6g}' in line


def test_without_pot_the_error_says_how_to_install_it(monkeypatch):
  assert peers.available()
  # So the import system marks a module that is not to be found.
  monkeypatch.setitem(sys.modules, 'ot', None)
  assert not peers.available()
  with pytest.raises(ValueError) as error:
    peers.compare(0)
  assert "pip install 'coalesce_jax[peers]'" in str(error.value)
  assert '\n' not in str(error.value)


def test_no_repeats_are_refused():
  with pytest.raises(ValueError, match='^repeats: 0'):
    peers.compare(0, repeats=0)

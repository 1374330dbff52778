"""Options of networks: bounds reached and passed."""

import pytest

from coalesce_jax.networks import option_checks as checks


def test_whole_numbers_reach_their_bounds():
  assert checks.whole('n', 2, 2, 5) == 2
  assert checks.whole('n', 5, 2, 5) == 5
  assert checks.width(1) == 1
  assert checks.width(checks.MAX_WIDTH) == checks.MAX_WIDTH


def test_widths_are_as_many_as_layers():
  assert checks.widths(None, 3) is None
  assert checks.widths([1, 2, checks.MAX_WIDTH], 3) == (1, 2, 4096)
  for wrong in ((1, 2), (1, 2, 0), (1, 2, 3.0), (1, True, 3), 'abc', (), {}):
    with pytest.raises(ValueError, match='widths'):
      checks.widths(wrong, 3)


def test_layers_become_a_tuple():
  assert checks.hidden([3, 1]) == (3, 1)
  assert checks.hidden(()) == ()
  assert len(checks.hidden((1,) * checks.MAX_LAYERS)) == checks.MAX_LAYERS


def test_numbers_become_floats():
  for value in (1, 1e-9, checks.MAX_SCALE):
    found = checks.positive('n', value)
    assert type(found) is float and found == value
  assert type(checks.not_negative('n', 0)) is float
  assert checks.not_negative('n', 0.0) == 0.0
  assert checks.not_negative('n', 2) == 2.0


def test_choices_are_kept():
  assert checks.choice('kind', 'a', ('b', 'a')) == 'a'


@pytest.mark.parametrize(
  'call,message',
  [
    (lambda: checks.whole('n', 1, 2, 5), r'^n 1 is not in \[2, 5\]'),
    (lambda: checks.whole('n', 6, 2, 5), r'^n 6 is not in \[2, 5\]'),
    (lambda: checks.whole('n', 2.0, 2, 5), '^n 2.0 is not a whole number'),
    (lambda: checks.whole('n', True, 0, 5), '^n True is not a whole number'),
    (lambda: checks.whole('n', '3', 2, 5), "^n '3' is not a whole number"),
    (lambda: checks.width(0), '^width 0'),
    (lambda: checks.width(checks.MAX_WIDTH + 1), '^width'),
    (lambda: checks.hidden(3), '^hidden 3 is not a list'),
    (lambda: checks.hidden('12'), "^hidden '12' is not a list"),
    (lambda: checks.hidden((1,) * (checks.MAX_LAYERS + 1)), '^hidden .* list'),
    (lambda: checks.hidden((1, 0)), '^width 0'),
    (lambda: checks.positive('n', 0.0), r'^n 0.0 is not in \(0, 1e\+06\]'),
    (lambda: checks.positive('n', -1), '^n -1 is not in'),
    (lambda: checks.positive('n', 1.1 * checks.MAX_SCALE), '^n .* not in'),
    (lambda: checks.positive('n', float('nan')), '^n nan is not in'),
    (lambda: checks.positive('n', True), '^n True is not a number'),
    (lambda: checks.positive('n', None), '^n None is not a number'),
    (lambda: checks.not_negative('n', -1e-9), '^n -1e-09 is not in'),
    (lambda: checks.not_negative('n', False), '^n False is not a number'),
    (lambda: checks.choice('k', 'c', {'b': 1, 'a': 2}), r"one of \['a', 'b'\]"),
    (lambda: checks.choice('k', 1, (1, 2)), '^k 1 is not one of'),
  ],
)
def test_others_are_refused_by_name(call, message):
  with pytest.raises(ValueError, match=message):
    call()

"""Regular expressions over names of leaves."""

import pytest

from coalesce_jax.core import patterns
from coalesce_jax.core import trees


def test_what_is_no_regular_expression_is_named_with_its_setting():
  patterns.check(('a/.*', '(?!b).*'), 'freeze')
  for bad in ('(', '*', '[a', 3):
    with pytest.raises(ValueError, match='^freeze: ') as caught:
      patterns.check(('a', bad), 'freeze')
    assert repr(bad) in str(caught.value)


def test_rules_with_a_bad_pattern_are_refused():
  with pytest.raises(ValueError, match='no regular expression'):
    trees.label({'a': 1}, [('(', 'frozen')], 'trained')

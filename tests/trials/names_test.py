"""Names and sizes in the settings of experiments."""

import pytest

from coalesce_jax.trials import names


def test_words_are_parts_of_names():
  assert names.word('/my data/a.npz') == '-my-data-a-npz'
  assert names.word('mnist:0-4|5-9->0-9') == 'mnist-0-4-5-9--0-9'


@pytest.mark.parametrize('values', [(), (0,), ('a',), (2, -1)])
def test_sizes_are_whole_numbers(values):
  with pytest.raises(ValueError, match='dims'):
    names.sizes('dims', values)
  assert names.sizes('dims', 2) == [2]

"""Plain values: bounded, and refused in one short line."""

import pytest

from coalesce_jax.models import untrusted


@pytest.mark.parametrize(
  ('check', 'value', 'expected'),
  [
    (untrusted.text, 'a' * 4096, 'a' * 4096),
    (untrusted.names, [], []),
    (untrusted.names, ('b', 'a'), ['b', 'a']),
    (untrusted.sizes, [1, 1 << 20], (1, 1 << 20)),
    (untrusted.sizes, [1, 2, 3, 4], (1, 2, 3, 4)),
    (untrusted.options, {}, ()),
    (
      untrusted.options,
      {'b_c': 0.5, 'a': True, 'd': 'x', 'hidden': [3], 'e': [], 'f': [2] * 5},
      (
        ('a', True), ('b_c', 0.5), ('d', 'x'), ('e', ()), ('f', (2,) * 5),
        ('hidden', (3,)),
      ),
    ),
  ],
)  # fmt: skip
def test_good_values_become_plain_ones(check, value, expected):
  assert check(value) == expected


@pytest.mark.parametrize(
  ('check', 'value', 'message'),
  [
    (untrusted.text, 'a' * 4097, "'a{40}' is no text of at most 4096"),
    (untrusted.text, 3, "'3' is no text of at most 4096"),
    (untrusted.names, 'ab', 'no list'),
    (untrusted.names, {'a': 1}, 'no list'),
    (untrusted.names, list(map(str, range(1001))), 'no list'),
    (untrusted.names, ['a', 'a'], 'a name is repeated'),
    (untrusted.names, ['a', None], "'None' is no text of at most 4096"),
    (untrusted.sizes, [], r'\[\] are not 1 to 4 sizes'),
    (untrusted.sizes, [1] * 5, 'are not 1 to 4 sizes'),
    (untrusted.sizes, (1, 2), 'are not 1 to 4 sizes'),
    (untrusted.sizes, [0], 'are not 1 to 4 sizes'),
    (untrusted.sizes, [(1 << 20) + 1], 'are not 1 to 4 sizes'),
    (untrusted.sizes, [True], 'are not 1 to 4 sizes'),
    (untrusted.sizes, [1.0], 'are not 1 to 4 sizes'),
    (untrusted.options, {f'a{"b" * i}': 1 for i in range(17)}, 'too many'),
    (untrusted.options, {'../x': 1}, "option '../x' is not a name"),
    (untrusted.options, {'a' * 41: 1}, 'is not a name'),
    (untrusted.options, {'a': None}, "option 'a' is neither"),
    (untrusted.options, {'a': {}}, "option 'a' is neither"),
    (untrusted.options, {'a': [-1]}, 'are not 1 to 4 sizes'),
    (untrusted.options, {'a': 'x' * 4097}, 'no text of at most 4096'),
  ],
)
def test_bad_values_are_refused_in_one_short_line(check, value, message):
  with pytest.raises(ValueError, match=message) as caught:
    check(value)
  assert '\n' not in str(caught.value) and len(str(caught.value)) < 100


def test_long_lists_are_cut_just_above_what_networks_take():
  assert untrusted.options({'a': [1] * 1000}) == (('a', (1,) * 25),)


def test_a_choice_is_one_of_the_choices():
  assert untrusted.one_of('packing', 'b', ('a', 'b')) == 'b'
  for value in ('c', None, ['a'], {}):
    with pytest.raises(ValueError, match=r"^packing .* of \('a', 'b'\)$"):
      untrusted.one_of('packing', value, ('a', 'b'))

"""Variants of one figure have one name."""

import pytest

from coalesce_jax.data import emoji_figures


@pytest.mark.parametrize(
  'codes',
  [
    ('1F468-200D-1F680', '1F469-200D-1F680', '1f9d1-200d-1f680'),
    ('1F3C3', '1F3C3-200D-2640-FE0F', '1F3C3-1F3FF-200D-2642-FE0F-200D-27A1'),
    ('1F466', '1F467', '1F9D2'),
    ('1F385', '1F936', '1F9D1-200D-1F384'),
    ('1F934', '1F478', '1FAC5'),
  ],
)
def test_codes_of_one_figure_agree(codes):
  assert len({emoji_figures.of_code(code) for code in codes}) == 1


@pytest.mark.parametrize(
  'names',
  [
    ('man-artist-default', 'woman-artist-default', 'artist-default'),
    ('man-running-default', 'person-running-facing-right-default'),
    ('boy-default', 'girl-default', 'child-default'),
    ('santa-claus-default', 'mrs-claus-default', 'mx-claus-default'),
    ('old-man-default', 'older-person-default'),
    ('woman barista', 'man barista'),
    ('man: red hair', 'person-white-hair-default', 'woman-bald-default'),
    ('purple_heart', 'red heart', 'green-heart'),
    ('ten o’clock', 'two-thirty', 'six-oclock', 'clock1030'),
    ('man-default', 'woman-default', 'person-default'),
  ],
)
def test_names_of_one_figure_agree(names):
  assert len({emoji_figures.of_name(name) for name in names}) == 1


def test_different_figures_differ():
  codes = ['1F3C3', '1F6B6', '2640', '2642', '1F468-200D-1F680', '1F468']
  assert len({emoji_figures.of_code(code) for code in codes}) == len(codes)
  names = ['police-car', 'police-car-light', 'mango', 'man-mage-default']
  names += ['orange', 'white', 'alarm-clock', 'two clocks', 'white hair']
  assert len({emoji_figures.of_name(name) for name in names}) == len(names)


def test_items_are_joined_through_others():
  one = ['e', 'a', 'b', 'c', 'd']
  two = ['x', 'y', 'x', 'y', 'z']
  three = ['1', '2', '3', '4', '3']
  assert emoji_figures.merged(one) == one
  assert emoji_figures.merged(one, two) == ['b', 'a', 'b', 'a', 'd']
  assert emoji_figures.merged(one, two, three) == ['b', 'a', 'b', 'a', 'b']

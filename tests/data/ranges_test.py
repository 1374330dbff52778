"""What values of images mean: levels, [-1, 1], [0, 1], or nothing certain."""

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.data import ranges

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
RNG = np.random.default_rng(0)


def drawn(low, high, dtype=np.float32):
  """Images whose values fill an interval, ends included."""
  values = RNG.permutation(np.linspace(low, high, 1280))
  return values.reshape(5, 16, 16, 1).astype(dtype)


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_levels_survive_either_range_of_floats(dtype):
  unit = (LEVELS / 255.0).astype(dtype)
  np.testing.assert_array_equal(ranges.as_levels(unit, 'x'), LEVELS)
  signed = (LEVELS / 127.5 - 1.0).astype(dtype)
  close = ranges.as_levels(signed, 'x').astype(int) - LEVELS
  assert np.abs(close).max() <= (dtype == np.float16)


def test_bfloat16_is_a_float():
  signed = np.asarray(jnp.asarray(drawn(-1, 1), jnp.bfloat16))
  assert ranges.is_float(signed)
  assert ranges.meaning(signed, 'x') == ranges.SIGNED
  assert not ranges.is_float(LEVELS)


def test_bytes_and_booleans_are_levels_whatever_they_hold():
  for low, high in ((0, 1), (200, 255)):
    levels = np.uint8(drawn(low, high))
    assert ranges.as_levels(levels, 'x') is levels
  found = ranges.as_levels(np.array([[True, False]]), 'x')
  assert found.tolist() == [[255, 0]]


@pytest.mark.parametrize('value', [-1e-9, -1e-3, -0.2, -0.9])
def test_one_value_does_not_change_what_the_others_mean(value):
  unit = drawn(0, 1)
  unit[0, 0, 0, 0] = value
  if value > -1.0 / 255.0:
    expected = np.round(unit.clip(0, 1) * 255.0)
    np.testing.assert_array_equal(ranges.as_levels(unit, 'x'), expected)
  else:
    with pytest.raises(ValueError, match='too few are dark'):
      ranges.as_levels(unit, 'x')


@pytest.mark.parametrize(
  ('low', 'high', 'kind'),
  [
    (-1.0, 1.0, ranges.SIGNED),
    (-1.003, 1.003, ranges.SIGNED),
    (-0.6, 0.2, ranges.SIGNED),
    (-1.0, -1.0, ranges.SIGNED),
    (0.0, 1.0, ranges.UNIT),
    (-0.003, 1.003, ranges.UNIT),
    (0.0, 0.0, ranges.UNIT),
  ],
)
def test_dark_values_tell_the_range(low, high, kind):
  assert ranges.meaning(drawn(low, high), 'x') == kind


def test_a_hundredth_is_enough_and_less_is_not():
  bright = np.full((1, 10, 100, 1), 0.5)
  for count, dark in ((10, -0.6), (10, 0.0)):
    images = bright.copy()
    images.flat[:count] = dark
    assert ranges.meaning(images, 'x') == (
      ranges.SIGNED if dark < 0 else ranges.UNIT
    )
    images.flat[0] = 0.5
    with pytest.raises(ValueError, match='too few are dark'):
      ranges.meaning(images, 'x')


@pytest.mark.parametrize(
  ('images', 'match'),
  [
    (drawn(-0.5, 0.5), r'float32 from -0.5 to 0.5; .*\* 127.5.*\* 255'),
    (drawn(0.4, 1.0), 'from 0.4 to 1; too few are dark'),
    (drawn(0.0, 255.0), r"from 0 to 255, .*images.round\(\).astype\('uint8'\)"),
    (drawn(0.0, 1.3), 'from 0 to 1.3, neither.*clip'),
    (drawn(-3.0, 3.0, np.float64), 'float64 from -3 to 3, neither.*scale'),
    (drawn(-1.0, 1.01), 'from -1 to 1.01'),
    (drawn(0, 255, np.int64), r"int64 from 0 to 255.*images.astype\('uint8'\)"),
    (drawn(0, 1, np.int32), r'int32 from 0 to 1.*images \* 255'),
    (drawn(0, 65535, np.uint16), 'uint16 from 0 to 65535.*257'),
    (drawn(-128, 127, np.int16), 'int16 from -128 to 127.*scale'),
    (drawn(0, 1, np.complex64), 'not complex64'),
    (np.array(['a']), 'not <U1'),
  ],
)
def test_what_is_unclear_is_refused_with_its_range_and_a_way_out(images, match):
  with pytest.raises(ValueError, match=f'^x: values.*{match}') as caught:
    ranges.meaning(images, 'x')
  assert '\n' not in str(caught.value) and len(str(caught.value)) < 300


def test_the_advice_leads_to_images_that_are_accepted():
  unit, bright = drawn(0, 1), drawn(0.5, 1)
  with pytest.raises(ValueError, match=r'pass images \* 2 - 1$'):
    ranges.check_signed(unit, 'x')
  ranges.check_signed(unit * 2 - 1, 'x')
  with pytest.raises(ValueError, match=r'\(images \* 255\).round\(\)'):
    ranges.check_signed(bright, 'x')
  ranges.check_signed((bright * 255).round().astype('uint8'), 'x')


@pytest.mark.parametrize(
  ('bad', 'match'),
  [
    ({30: np.nan, 70: np.nan}, '2 NaN and 0 infinite values of 80, .*row 3'),
    ({75: np.inf}, '0 NaN and 1 infinite values of 80, .*row 7'),
    ({0: -np.inf, 1: np.nan}, '1 NaN and 1 infinite values of 80, .*row 0'),
  ],
)
def test_values_that_are_not_finite_are_counted(bad, match):
  images = np.full((8, 10), -1.0)
  for place, value in bad.items():
    images.flat[place] = value
  for check in (ranges.meaning, ranges.check_finite, ranges.check_signed):
    with pytest.raises(ValueError, match=match):
      check(images, 'x')


def test_no_values_mean_nothing():
  with pytest.raises(ValueError, match=r'^x: shape \(0, 4, 4, 1\) has no'):
    ranges.meaning(np.zeros((0, 4, 4, 1)), 'x')

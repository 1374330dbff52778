"""Rounding to 8 bits: whole multiples of one scale a channel."""

import numpy as np
import pytest

from coalesce_jax.transforms import int8


def params():
  rng = np.random.default_rng(0)
  w = rng.normal(size=(3, 3, 4, 5)).astype(np.float32)
  w *= np.array([1e-3, 1.0, 10.0, 0.0, 300.0], np.float32)
  return {
    'conv': {'kernel': w, 'bias': w[0, 0, 0]},
    'out': {'kernel': w[0, 0]},
  }


def test_weights_are_whole_multiples_at_most_127_of_the_scale_of_a_channel():
  before = params()
  found = int8.rounded(before, ('conv/kernel',))
  for channel in range(5):
    w = before['conv']['kernel'][..., channel].astype(np.float64)
    got = np.asarray(found['conv']['kernel'][..., channel], np.float64)
    scale = np.abs(w).max() / 127
    if scale == 0.0:
      np.testing.assert_array_equal(got, 0.0)
      continue
    codes = got / scale
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-4)
    # The largest weight stays; no other moves by more than half a step.
    assert np.abs(np.round(codes)).max() == 127
    assert np.abs(got - w).max() <= 0.5001 * scale


def test_leaves_that_match_no_pattern_stay():
  before = params()
  found = int8.rounded(before, ('.*/kernel',))
  np.testing.assert_array_equal(found['conv']['bias'], before['conv']['bias'])
  changed = [
    not np.array_equal(found[name]['kernel'], before[name]['kernel'])
    for name in ('conv', 'out')
  ]
  assert changed == [True, True]
  found = int8.rounded(before, ('conv/kernel',))
  np.testing.assert_array_equal(found['out']['kernel'], before['out']['kernel'])
  with pytest.raises(ValueError, match='matches none'):
    int8.rounded(before, ('nothing',))


def test_light_half_and_whole_numbers_are_rounded_like_others():
  rng = np.random.default_rng(1)
  for w in (
    np.float32(1e-33 * rng.normal(size=(6, 3))),
    np.float16(rng.normal(size=(6, 3))),
    rng.integers(-9, 9, (6, 3)),
  ):
    found = np.asarray(int8.rounded({'k': w}, ('k',))['k'])
    wide = w.astype(np.float64)
    scale = np.abs(wide).max(0, keepdims=True) / 127
    assert found.dtype == np.float32
    np.testing.assert_allclose(
      found, np.round(wide / scale) * scale, rtol=1e-6, atol=0
    )
  for w in (np.float32([[1e-37, 0.0]]), np.zeros((0, 2), np.float32)):
    assert not np.any(int8.rounded({'k': w}, ('k',))['k'])

"""Tiles: they cover the image and blend to what a local map gives at once."""

import numpy as np
import pytest

from coalesce_jax.translation import tiles


@pytest.mark.parametrize('length', [5, 16, 17, 30, 100])
def test_tiles_cover_a_side(length):
  starts = tiles.starts(length, 16)
  covered = np.zeros(length, bool)
  for start in starts:
    covered[start : start + 16] = True
    assert start + min(16, length) <= length
  assert covered.all()
  assert all(b - a <= 12 for a, b in zip(starts, starts[1:], strict=False))


def test_a_map_of_single_pixels_is_the_same_in_tiles():
  image = np.random.default_rng(0).normal(size=(37, 21, 2))
  done = []
  made = tiles.translate(
    image, 16, lambda x: 2.0 * x[..., :1] + 1.0,
    lambda k, n: done.append((k, n)),
  )  # fmt: skip
  np.testing.assert_allclose(made, 2.0 * image[..., :1] + 1.0, rtol=1e-5)
  assert done[-1] == (len(done), len(done)) and len(done) > 4


def test_tiles_that_differ_are_blended_without_a_step():
  image = np.zeros((8, 28, 1))
  values = iter([0.0, 1.0])
  made = tiles.translate(image, 16, lambda x: x + next(values))
  row = made[0, :, 0]
  assert row[0] == 0.0 and row[-1] == 1.0
  assert np.all(np.diff(row) >= 0.0) and np.diff(row).max() < 0.5


def test_a_small_image_is_translated_at_once():
  calls = []
  tiles.translate(np.zeros((16, 9, 1)), 16, lambda x: calls.append(1) or x)
  assert calls == [1]

"""Sizes, channels and crops on the host."""

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import pair_geometry
from coalesce_jax.data import pair_settings

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


@pytest.mark.parametrize(
  'preprocess,train,expected',
  [
    ('resize_and_crop', True, (10, 20)),
    ('resize_and_crop', False, (8, 8)),
    ('scale_width', True, (12, 20)),
    ('scale_width', False, (12, 20)),
    ('crop', True, (30, 50)),
    ('none', False, (30, 50)),
  ],
)
def test_the_size_follows_the_preprocess(preprocess, train, expected):
  settings = pair_settings.Settings(
    preprocess=preprocess, load_size=(10, 20), crop_size=8
  )
  assert pair_geometry.size((30, 50), settings, train) == expected


def test_resizing_is_bicubic_for_levels_and_floats():
  expected = np.asarray(
    Image.fromarray(NOISE).resize((8, 6), Image.Resampling.BICUBIC)
  )
  found = pair_geometry.resized(NOISE, (6, 8))
  np.testing.assert_array_equal(found, expected)
  five = np.concatenate([NOISE, NOISE[..., :2]], -1)
  found = pair_geometry.resized(five, (6, 8))
  assert found.dtype == np.uint8
  np.testing.assert_allclose(found[..., :3].astype(int), expected, atol=1)
  signed = pair_geometry.resized(five / np.float32(127.5) - 1, (6, 8))
  assert signed.dtype == np.float32 and np.abs(signed).max() <= 1
  np.testing.assert_allclose(
    (signed[..., :3] + 1) * 127.5, expected, atol=1.5
  )  # fmt: skip


def test_grey_is_that_of_pillow_and_other_channels_are_refused():
  grey = pair_geometry.with_channels(NOISE, 1)
  expected = np.asarray(Image.fromarray(NOISE).convert('L'))
  np.testing.assert_allclose(grey[..., 0].astype(int), expected, atol=1)
  np.testing.assert_array_equal(
    pair_geometry.with_channels(grey, 3), np.repeat(grey, 3, -1)
  )
  assert pair_geometry.with_channels(NOISE, None) is NOISE
  with pytest.raises(ValueError, match='3 channels do not become 5'):
    pair_geometry.with_channels(NOISE, 5)


def test_crops_of_different_sizes_have_the_same_middle():
  settings = pair_settings.Settings(preprocess='crop', crop_size=4)
  images = [NOISE, NOISE[1:-1], NOISE[:, 3:-3]]
  train = pair_geometry.stacked(images, list('abc'), settings, True)
  assert train.shape == (3, 10, 10, 3)
  held = pair_geometry.stacked(images, list('abc'), settings, False)
  for each in held:
    np.testing.assert_array_equal(each, NOISE[4:8, 6:10])


def test_sizes_that_differ_are_named():
  settings = pair_settings.Settings(preprocess='none')
  with pytest.raises(ValueError, match=r'b: size \(11, 16, 3\).*but a has'):
    pair_geometry.stacked([NOISE, NOISE[1:]], ['a', 'b'], settings, True)


def test_images_smaller_than_the_crop_are_refused():
  settings = pair_settings.Settings(preprocess='crop', crop_size=(8, 9))
  with pytest.raises(ValueError, match='images of 8x8 are smaller'):
    pair_geometry.check_crop('x', (8, 8), settings)
  pair_geometry.check_crop('x', (8, 9), settings)
  plain = pair_settings.Settings(preprocess='none', crop_size=9)
  pair_geometry.check_crop('x', (8, 8), plain)

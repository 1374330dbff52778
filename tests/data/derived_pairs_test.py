"""Conditions that are computed from targets."""

import colorsys

import numpy as np
from PIL import Image
import pytest
from scipy import signal

from coalesce_jax.data import derived_pairs
from coalesce_jax.data import pair_names
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs
from tests.cli import calls

NOISE = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
OWN = pair_settings.Settings(preprocess='none')


# L* of sRGB colours, by published tables of CIE Lab (D65).
@pytest.mark.parametrize(
  'colour,expected',
  [
    ((0, 0, 0), 0.0),
    ((255, 255, 255), 100.0),
    ((255, 0, 0), 53.2408),
    ((0, 255, 0), 87.7347),
    ((0, 0, 255), 32.2970),
    ((119, 119, 119), 50.0344),
    ((4, 4, 4), 1.0967),
  ],
)
def test_lightness_is_that_of_lab(colour, expected):
  image = np.full((1, 2, 2, 3), colour, np.uint8)
  found = derived_pairs.lightness(image)
  assert found.shape == (1, 2, 2, 1)
  np.testing.assert_allclose(found / 2.55, expected, atol=0.21)


def test_colours_are_needed_and_greys_keep_their_lightness():
  grey = NOISE[..., :1]
  with pytest.raises(ValueError, match='grey'):
    derived_pairs.colourise(grey)
  same = derived_pairs.lightness(np.repeat(grey, 3, -1))
  np.testing.assert_array_equal(derived_pairs.lightness(grey), same)
  # Colours of one lightness become one grey.
  hues = [colorsys.hsv_to_rgb(h / 8, 0.01, 0.5) for h in range(8)]
  flat = np.round(np.array(hues) * 255).astype(np.uint8).reshape(1, 2, 4, 3)
  assert np.ptp(derived_pairs.colourise(flat).astype(int)) <= 3


def test_edges_are_those_of_sobel():
  kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4.0
  found = derived_pairs.edges(NOISE)
  assert found.shape == (3, 8, 12, 1) and found.dtype == np.uint8
  for image, lines in zip(derived_pairs.lightness(NOISE), found, strict=True):
    plane = image[..., 0].astype(float)
    x, y = (signal.convolve2d(plane, k, 'valid') for k in (kernel, kernel.T))
    expected = np.clip(255 - np.sqrt(x * x + y * y), 0, 255)
    np.testing.assert_allclose(lines[1:-1, 1:-1, 0], expected, atol=0.51)
  step = np.zeros((1, 6, 6, 1), np.uint8)
  step[:, :, 3:] = 255
  lines = derived_pairs.edges(step)[0, ..., 0]
  np.testing.assert_array_equal(
    lines, np.tile([255, 255, 0, 0, 255, 255], (6, 1))
  )


@pytest.mark.parametrize('enlarge', ['bicubic', 'nearest'])
def test_details_go_and_means_stay(enlarge):
  flat = np.full((1, 8, 8, 3), 77, np.uint8)
  for shape in (flat, flat[..., :1]):
    found = derived_pairs.super_resolution(shape, enlarge=enlarge)
    np.testing.assert_array_equal(found, shape)
  found = derived_pairs.super_resolution(NOISE, enlarge=enlarge).astype(float)
  assert found.shape == NOISE.shape and found.std() < NOISE.std() / 2
  assert abs(found.mean() - NOISE.mean()) < 4
  if enlarge == 'nearest':
    blocks = found.reshape(3, 2, 4, 3, 4, 3)
    assert np.ptp(blocks, axis=(2, 4)).max() == 0
    small = np.asarray(
      Image.fromarray(NOISE[0]).resize((3, 2), Image.Resampling.BICUBIC)
    )
    np.testing.assert_array_equal(blocks[0, :, 0, :, 0], small)


def test_sides_that_are_no_multiple_of_four_are_refused():
  with pytest.raises(ValueError, match='multiples of 4'):
    derived_pairs.super_resolution(NOISE[:, :6])
  with pytest.raises(ValueError, match='neither bicubic nor nearest'):
    derived_pairs.super_resolution(NOISE, enlarge='area')


def test_the_hole_is_grey_and_in_the_middle():
  found = derived_pairs.inpaint(NOISE)
  changed = np.zeros((8, 12), bool)
  changed[2:6, 3:9] = True
  assert (found[:, changed] == 128).all()
  np.testing.assert_array_equal(found[:, ~changed], NOISE[:, ~changed])


def test_noise_has_its_deviation_and_is_that_of_the_seed():
  flat = np.full((4, 32, 32, 3), 128, np.uint8)
  found = derived_pairs.denoise(flat, 3)
  noise = found.astype(float) - 128
  assert abs(noise.mean()) < 1 and abs(noise.std() - 25.5) < 0.6
  np.testing.assert_array_equal(found, derived_pairs.denoise(flat, 3))
  assert (found != derived_pairs.denoise(flat, 4)).mean() > 0.9


def test_every_kind_is_named():
  assert pair_names.DERIVED == tuple(derived_pairs.TEXTS)
  assert set(pair_names.DERIVED) == set(derived_pairs.MAKERS)


def test_a_data_set_gives_pairs_with_its_own_test_split():
  train, held = pairs.load('inpaint:digits', OWN)
  assert train.target.shape == (1442, 8, 8, 1) and len(held.target) == 355
  np.testing.assert_array_equal(
    held.condition, derived_pairs.inpaint(held.target)
  )
  assert train.paired and len(train.labels[0]) == 1442
  swapped, _ = pairs.load(
    'inpaint:digits',
    pair_settings.Settings(preprocess='none', direction='BtoA'),
  )
  np.testing.assert_array_equal(swapped.target, train.condition)


def test_a_folder_is_resized_before_its_condition_is_computed(tmp_path):
  folder = calls.folder(tmp_path / 'photos', count=5, size=20)
  settings = pair_settings.Settings(load_size=12, crop_size=8)
  train, held = pairs.load(f'super_resolution:{folder}', settings)
  assert train.condition.shape == train.target.shape == (4, 12, 12, 1)
  assert held.target.shape == (1, 8, 8, 1)
  np.testing.assert_array_equal(
    held.condition, derived_pairs.super_resolution(held.target)
  )
  with pytest.raises(ValueError, match='colourise:.*photos: images are grey'):
    pairs.load(f'colourise:{folder}', settings)

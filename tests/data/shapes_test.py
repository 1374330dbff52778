"""One shape for pictures of many sizes."""

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import shapes

DCGAN = (8, 28, 32, 64)


def write(folder, *sizes, mode='RGB'):
  """Pictures of (width, height)."""
  folder.mkdir(parents=True, exist_ok=True)
  start = len(list(folder.iterdir()))
  for i, size in enumerate(sizes, start):
    Image.new(mode, size).save(folder / f'{i}.png')


@pytest.mark.parametrize(
  ('text', 'size'),
  [('64', (64, 64)), ('64x48', (64, 48)), (' 8X9 ', (8, 9)), (None, None)],
)
def test_sizes_are_a_side_or_height_by_width(text, size):
  assert shapes.parse_size(text) == size


@pytest.mark.parametrize('text', ['', 'x', '0', '64x', '5000', '8x8x3', '-8'])
def test_other_sizes_are_refused(text):
  with pytest.raises(ValueError, match='neither a side like 64 nor HxW'):
    shapes.parse_size(text)


def test_images_of_one_supported_size_keep_it(tmp_path, caplog):
  write(tmp_path, (28, 28), (28, 28))
  with caplog.at_level('INFO'):
    found = shapes.common(tmp_path, shapes.Wanted(sides=DCGAN))
  assert found == (28, 28, 3) and not caplog.records
  write(tmp_path / 'other', (30, 20))
  assert shapes.common(tmp_path / 'other', shapes.Wanted()) == (20, 30, 3)


@pytest.mark.parametrize(
  ('sizes', 'sides', 'side'),
  [
    # Shorter sides 20, 31, 500: the median is 31.
    ([(90, 20), (31, 40), (500, 600)], DCGAN, 32),
    ([(100, 100)] * 2, DCGAN, 64),
    # 9 is nearer to 8 by ratio; 16 to 28.
    ([(9, 9)], DCGAN, 8),
    ([(16, 16)], DCGAN, 28),
    ([(40, 60)], (28,), 28),
    ([(17, 90), (18, 90)], (), 16),
    ([(900, 900), (800, 900)], (), 64),
  ],
)
def test_other_sizes_become_the_nearest_supported_square(
  tmp_path, sizes, sides, side
):
  write(tmp_path, *sizes)
  found = shapes.common(tmp_path, shapes.Wanted(sides=sides))
  assert found == (side, side, 3)


def test_the_median_is_of_all_images_at_every_depth(tmp_path):
  write(tmp_path / 'cat', (60, 70))
  write(tmp_path / 'dog' / 'deep', (8, 8), (9, 9))
  assert shapes.common(tmp_path, shapes.Wanted(sides=DCGAN))[0] == 8


def test_images_are_grey_only_if_all_are(tmp_path):
  write(tmp_path, (8, 8), (8, 8), mode='L')
  assert shapes.common(tmp_path, shapes.Wanted()) == (8, 8, 1)
  write(tmp_path, (8, 8))
  assert shapes.common(tmp_path, shapes.Wanted()) == (8, 8, 3)


def test_what_is_wanted_counts_more_than_what_is_there(tmp_path):
  write(tmp_path, (30, 20), (28, 28))
  wanted = shapes.Wanted(size=(10, 12), channels=1, sides=DCGAN)
  assert shapes.common(tmp_path, wanted) == (10, 12, 1)


def test_a_conversion_is_told_in_one_line(tmp_path, caplog):
  write(tmp_path, (30, 20), (28, 28))
  write(tmp_path, (30, 40), mode='L')
  with caplog.at_level('INFO'):
    shapes.common(tmp_path, shapes.Wanted(sides=DCGAN))
  (record,) = caplog.records
  assert record.getMessage() == (
    f'{tmp_path}: 3 images of 3 sizes (median shorter side 28), 1 of them '
    'grey, are cropped and resized to 28 x 28 with 3 channels'
  )


def test_grey_among_colours_is_told_although_sizes_agree(tmp_path, caplog):
  write(tmp_path, (8, 8))
  write(tmp_path, (8, 8), mode='L')
  with caplog.at_level('INFO'):
    shapes.common(tmp_path, shapes.Wanted(sides=DCGAN))
  assert len(caplog.records) == 1


def test_a_folder_without_pictures_is_refused(tmp_path):
  (tmp_path / 'a.txt').touch()
  with pytest.raises(ValueError, match='inside; it holds 1 .txt'):
    shapes.common(tmp_path, shapes.Wanted())


@pytest.mark.parametrize(
  'wanted',
  [
    None,
    (8, 9, 1),
    shapes.Wanted(),
    shapes.Wanted(size=(8, 9)),
    shapes.Wanted(channels=1, sides=(28,)),
  ],
)
def test_arrays_that_have_the_wanted_shape_pass(wanted):
  shapes.check('x', np.zeros((8, 9, 1)).shape, wanted)


@pytest.mark.parametrize(
  'wanted',
  [(8, 8, 1), shapes.Wanted(size=(8, 8)), shapes.Wanted(channels=3)],
)
def test_arrays_of_another_shape_are_refused(wanted):
  with pytest.raises(ValueError, match=r'x: images are \(8, 9, 1\), .*resized'):
    shapes.check('x', (8, 9, 1), wanted)

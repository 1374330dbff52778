"""A user's images: what is read, and what is refused in one line.

Arrays and IDX files have tests of their own.
"""

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import images


def write_images(folder, count=3, size=(12, 10), mode='L', suffix='.png'):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  for i in range(count):
    shape = (size[1], size[0]) if mode == 'L' else (size[1], size[0], 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f'{i}{suffix}')


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
  write_images(tmp_path, 3)
  loaded = images.load(tmp_path)
  assert loaded.images.shape == (3, 10, 12, 1) and loaded.labels is None
  first = np.asarray(Image.open(tmp_path / '0.png'))
  np.testing.assert_array_equal(loaded.images[0, ..., 0], first)


def test_subfolders_are_classes(tmp_path):
  for name in ('cat', 'dog'):
    write_images(tmp_path / name, 2, mode='RGB')
  loaded = images.load(tmp_path)
  assert loaded.images.shape == (4, 10, 12, 3)
  assert loaded.labels.tolist() == [0, 0, 1, 1]


def test_images_are_cropped_and_resized_where_a_shape_is_asked_for(tmp_path):
  write_images(tmp_path, 2, size=(40, 20), mode='RGB', suffix='.jpg')
  assert images.load(tmp_path, (8, 8, 1)).images.shape == (2, 8, 8, 1)
  grey = Image.new('L', (40, 20), 0)
  grey.paste(255, (10, 0, 30, 20))
  grey.save(tmp_path / '0.jpg')
  assert images.load(tmp_path, (8, 8, 1)).images[0].min() > 250


def test_an_image_of_the_wanted_shape_stays_as_it_is(tmp_path):
  write_images(tmp_path, 3)
  np.testing.assert_array_equal(
    images.load(tmp_path, (10, 12, 1)).images, images.load(tmp_path).images
  )


def test_the_crop_has_the_wanted_proportions(tmp_path):
  marked = Image.new('L', (40, 40), 0)
  marked.paste(255, (0, 10, 40, 30))
  marked.save(tmp_path / 'a.png')
  loaded = images.load(tmp_path, (8, 16, 1)).images
  assert loaded.shape == (1, 8, 16, 1) and loaded.min() == 255


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
  levels = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
  Image.fromarray(levels).save(tmp_path / 'a.png')
  assert images.load(tmp_path).images.ravel().tolist() == [0, 100, 200, 255]


def test_photographs_are_turned_as_the_camera_says(tmp_path):
  photo = Image.new('RGB', (40, 20))
  exif = photo.getexif()
  exif[274] = 6
  photo.save(tmp_path / 'a.jpg', exif=exif)
  assert images.load(tmp_path).images.shape == (1, 40, 20, 3)


def test_folders_named_by_numbers_hold_these_classes(tmp_path):
  for name in ('9', '10', '8'):
    write_images(tmp_path / name, 1)
  assert images.load(tmp_path).labels.tolist() == [8, 9, 10]


def test_hidden_and_empty_folders_are_no_classes(tmp_path):
  for name in ('.thumbnails', 'cat', 'dog'):
    write_images(tmp_path / name, 1)
  (tmp_path / 'box').mkdir()
  assert images.class_labels(tmp_path) == {'cat': 0, 'dog': 1}
  assert images.load(tmp_path).labels.tolist() == [0, 1]


def refused(path, match, **arguments):
  with pytest.raises(ValueError, match=match) as caught:
    images.load(path, **arguments)
  text = str(caught.value)
  assert '\n' not in text and str(path) in text


def test_missing_and_empty_folders_are_refused(tmp_path):
  refused(tmp_path / 'nowhere', 'no such file')
  refused(tmp_path, 'no .png')


def test_broken_images_are_refused_by_name(tmp_path):
  write_images(tmp_path, 2)
  (tmp_path / '1.png').write_bytes(b'not an image')
  refused(tmp_path, r'1\.png.*not a readable image')


def test_truncated_images_are_refused(tmp_path):
  write_images(tmp_path, 2, size=(64, 64))
  data = (tmp_path / '1.png').read_bytes()
  (tmp_path / '1.png').write_bytes(data[: len(data) // 2])
  refused(tmp_path, r'1\.png.*not a readable image')


@pytest.mark.parametrize('limit', [1000, 3000])
@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_a_picture_larger_than_the_pixel_limit_is_refused(
  tmp_path, monkeypatch, limit
):
  """Pillow itself only warns below twice the limit."""
  write_images(tmp_path, 1, size=(64, 64))
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', limit)
  refused(tmp_path, 'not a readable image')


def test_images_of_different_sizes_are_refused(tmp_path):
  write_images(tmp_path, 2)
  Image.new('L', (5, 5)).save(tmp_path / '9.png')
  refused(tmp_path, 'name one size')


def test_arrays_of_another_shape_are_refused(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((2, 4, 4), np.uint8))
  refused(tmp_path / 'a.npy', 'is needed', image_shape=(8, 8, 1))


def test_images_both_inside_and_in_classes_are_refused(tmp_path):
  write_images(tmp_path, 1)
  write_images(tmp_path / 'cat', 1)
  refused(tmp_path, 'keep one of the two')


def test_a_single_image_is_refused_with_advice(tmp_path):
  write_images(tmp_path, 1)
  refused(tmp_path / '0.png', 'name the folder')


@pytest.mark.parametrize('shape', [(8, 8), (8, 8, 4), (0, 8, 1), (9999, 8, 1)])
def test_impossible_shapes_are_refused(tmp_path, shape):
  write_images(tmp_path, 1)
  with pytest.raises(ValueError, match='image_shape'):
    images.load(tmp_path, shape)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_damaged_images_are_read_or_refused_by_name(tmp_path, suffix):
  """Whatever a byte does, nothing but a ValueError comes out."""
  rng = np.random.default_rng(0)
  write_images(tmp_path, 1, mode='RGB', suffix=suffix)
  file = tmp_path / f'0{suffix}'
  good = file.read_bytes()
  for _ in range(150):
    bad = bytearray(good)
    for place in rng.integers(0, len(bad), 3):
      bad[place] = rng.integers(256)
    file.write_bytes(bad)
    try:
      assert images.load(tmp_path).images.dtype == np.uint8
    except ValueError as error:
      assert str(file) in str(error) and '\n' not in str(error)

"""A user's images: what is read, and what is refused in one line.

Pictures, folders, arrays and IDX files have tests of their own.
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
  refused(tmp_path, 'no PNG, JPEG.* images inside; the folder is empty')


def test_broken_images_are_refused_by_name(tmp_path):
  write_images(tmp_path, 2)
  (tmp_path / '1.png').write_bytes(b'not an image')
  refused(tmp_path, r'1\.png.*not a readable image')


def test_truncated_images_are_refused(tmp_path):
  write_images(tmp_path, 2, size=(64, 64))
  data = (tmp_path / '1.png').read_bytes()
  (tmp_path / '1.png').write_bytes(data[: len(data) // 2])
  refused(tmp_path, r'1\.png.*not a readable image')


def test_images_of_different_sizes_are_refused(tmp_path):
  write_images(tmp_path, 2)
  Image.new('L', (5, 5)).save(tmp_path / '9.png')
  refused(tmp_path, 'name one size')


def test_arrays_of_another_shape_are_refused(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((2, 4, 4), np.uint8))
  refused(tmp_path / 'a.npy', 'is needed; only fold', image_shape=(8, 8, 1))


def test_images_both_inside_and_in_classes_are_refused(tmp_path):
  write_images(tmp_path, 1)
  write_images(tmp_path / 'cat' / 'deep', 1)
  refused(tmp_path, r'\(0.png\).*\(cat/deep/0.png\).*keep one of the two')


def test_without_labels_images_may_lie_anywhere(tmp_path):
  write_images(tmp_path, 1)
  write_images(tmp_path / '10', 1, size=(4, 4))
  write_images(tmp_path / '9' / 'deep' / 'er', 2, size=(5, 5))
  loaded = images.load(tmp_path, (10, 12, 1), labelled=False)
  assert loaded.images.shape == (4, 10, 12, 1) and loaded.labels is None
  # In the same order as with labels, those of the folder itself first.
  (tmp_path / '0.png').rename(tmp_path / '.0.png')
  with_labels = images.load(tmp_path, (10, 12, 1))
  assert with_labels.labels.tolist() == [9, 9, 10]
  np.testing.assert_array_equal(with_labels.images, loaded.images[1:])


def test_labels_of_an_archive_are_left_where_they_are_not_wanted(tmp_path):
  np.savez(
    tmp_path / 'a.npz', images=np.zeros((2, 4, 4), np.uint8), labels=[0, 1]
  )
  assert images.load(tmp_path / 'a.npz').labels is not None
  assert images.load(tmp_path / 'a.npz', labelled=False).labels is None


def test_one_line_says_how_many_were_read_and_what_was_not(tmp_path, caplog):
  write_images(tmp_path / 'a', 3)
  write_images(tmp_path / 'a' / 'deeper', 20)
  (tmp_path / 'note.TXT').touch()
  frames = [Image.new('L', (12, 10), k) for k in (1, 2)]
  frames[0].save(tmp_path / 'a' / 'z.gif', save_all=True,
                 append_images=frames[1:])  # fmt: skip
  with caplog.at_level('INFO'):
    images.load(tmp_path)
  (record,) = caplog.records
  assert record.getMessage() == (
    f'24 images of {tmp_path} (2 folders; left out: 1 .txt); of 1 with several '
    'frames the first'
  )


def test_a_name_of_two_lines_is_shown_in_one(tmp_path):
  write_images(tmp_path / 'a\nb', 1)
  (tmp_path / 'a\nb' / 'x\n.png').touch()
  with pytest.raises(ValueError, match=r'a\\nb/x\\n.png: not') as caught:
    images.load(tmp_path)
  assert '\n' not in str(caught.value)
  np.save(tmp_path / 'c\nd.npy', np.zeros((2, 4, 4), np.int64))
  (tmp_path / 'c\nd.bin').write_bytes(b'\0\0\7')
  for name in ('c\nd.npy', 'c\nd.bin'):
    with pytest.raises(ValueError, match=r'c\\nd') as caught:
      images.load(tmp_path / name)
    assert '\n' not in str(caught.value)


def test_a_single_image_is_refused_with_advice(tmp_path):
  write_images(tmp_path, 1)
  refused(tmp_path / '0.png', 'one image; name a folder')


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

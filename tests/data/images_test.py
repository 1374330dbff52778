"""A user's images: what is read, and what is refused in one line."""

import gzip
import io
import struct
import zipfile

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import idx
from coalesce_jax.data import images


def write_images(folder, count=3, size=(12, 10), mode='L', suffix='.png'):
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(0)
  for i in range(count):
    shape = (size[1], size[0]) if mode == 'L' else (size[1], size[0], 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f'{i}{suffix}')


def idx_bytes(array):
  head = struct.pack('>4B', 0, 0, 8, array.ndim)
  return head + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()


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


@pytest.mark.parametrize('name', ['a.npz', 'a.npy'])
def test_arrays_are_read(tmp_path, name):
  data = np.linspace(-1.0, 1.0, 2 * 4 * 4).reshape(2, 4, 4)
  save = np.savez if name.endswith('z') else np.save
  save(tmp_path / name, data)
  loaded = images.load(tmp_path / name).images
  assert loaded.dtype == np.uint8 and loaded.shape == (2, 4, 4, 1)
  assert loaded.min() == 0 and loaded.max() == 255


def test_labels_of_an_archive_are_read(tmp_path):
  data = np.zeros((3, 4, 4, 1), np.uint8)
  np.savez(tmp_path / 'a.npz', images=data, labels=np.array([2, 0, 1]))
  assert images.load(tmp_path / 'a.npz').labels.tolist() == [2, 0, 1]


def test_idx_plain_and_compressed_are_read(tmp_path):
  data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
  (tmp_path / 'a').write_bytes(idx_bytes(data))
  (tmp_path / 'b.gz').write_bytes(gzip.compress(idx_bytes(data)))
  np.testing.assert_array_equal(idx.read(tmp_path / 'a'), data)
  np.testing.assert_array_equal(idx.read(tmp_path / 'b.gz'), data)
  assert images.load(tmp_path / 'a').images.shape == (2, 3, 4, 1)


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


def test_a_picture_larger_than_the_pixel_limit_is_refused(
  tmp_path, monkeypatch
):
  write_images(tmp_path, 1, size=(64, 64))
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
  refused(tmp_path, 'not a readable image')


def test_images_of_different_sizes_are_refused(tmp_path):
  write_images(tmp_path, 2)
  Image.new('L', (5, 5)).save(tmp_path / '9.png')
  refused(tmp_path, 'name one size')


def test_pickled_arrays_are_refused(tmp_path):
  np.save(tmp_path / 'a.npy', np.array([{'x': 1}], object))
  refused(tmp_path / 'a.npy', 'never loaded')
  np.savez(tmp_path / 'a.npz', images=np.array([{'x': 1}], object))
  refused(tmp_path / 'a.npz', 'never loaded')


def test_an_array_whose_header_claims_too_much_is_refused(tmp_path):
  buffer = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    buffer, {'descr': '|u1', 'fortran_order': False, 'shape': (10**12,)}
  )
  with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as archive:
    archive.writestr('images.npy', buffer.getvalue())
  refused(tmp_path / 'a.npz', 'exceed')
  (tmp_path / 'a.npy').write_bytes(buffer.getvalue())
  refused(tmp_path / 'a.npy', 'exceed')


@pytest.mark.parametrize(
  'array,match',
  [
    (np.zeros((2, 4), np.uint8), 'shape'),
    (np.zeros((2, 4, 4, 2), np.uint8), 'shape'),
    (np.full((2, 4, 4), 7.0), 'values'),
    (np.full((2, 4, 4), np.nan), 'values'),
  ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, match):
  np.save(tmp_path / 'a.npy', array)
  refused(tmp_path / 'a.npy', match)


def test_arrays_of_another_shape_are_refused(tmp_path):
  np.save(tmp_path / 'a.npy', np.zeros((2, 4, 4), np.uint8))
  refused(tmp_path / 'a.npy', 'is needed', image_shape=(8, 8, 1))


def test_damaged_idx_files_are_refused(tmp_path):
  good = idx_bytes(np.zeros((2, 3, 4), np.uint8))
  bomb = struct.pack('>4B3I', 0, 0, 8, 3, 2**31, 2**31, 4)
  for data, match in (
    (good[:-1], 'header says'),
    (good + b'x', 'has more'),
    (good[:6], 'truncated'),
    (b'PK\x03\x04' + good, 'not an IDX'),
    (bomb, 'exceed'),
    (gzip.compress(good)[:-12], 'damaged'),
  ):
    (tmp_path / 'a').write_bytes(data)
    refused(tmp_path / 'a', match)


def test_a_compressed_file_is_not_read_beyond_its_header(tmp_path):
  head = struct.pack('>4B1I', 0, 0, 8, 1, 10)
  (tmp_path / 'a.gz').write_bytes(gzip.compress(head + bytes(50_000_000)))
  refused(tmp_path / 'a.gz', 'has more')

"""Image arrays: read without pickles, headers checked against the bytes."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from coalesce_jax.data import arrays
from coalesce_jax.data import images

DATA = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)


def npy(array):
  buffer = io.BytesIO()
  np.save(buffer, array)
  return buffer.getvalue()


def header(shape, descr='|u1'):
  buffer = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    buffer, {'descr': descr, 'fortran_order': False, 'shape': shape}
  )
  return buffer.getvalue()


def npz(path, **members):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, data in members.items():
      archive.writestr(name.replace('_npy', '.npy'), data)


@pytest.mark.parametrize('name', ['a.npz', 'a.npy', 'A.NPY'])
def test_uint8_arrays_are_read_as_they_are(tmp_path, name):
  with open(tmp_path / name, 'wb') as file:
    (np.savez_compressed if name.endswith('z') else np.save)(file, DATA)
  loaded = images.load(tmp_path / name)
  np.testing.assert_array_equal(loaded.images, DATA[..., None])
  assert loaded.labels is None


def test_labels_of_an_archive_are_read(tmp_path):
  np.savez(tmp_path / 'a.npz', images=DATA, labels=np.array([2, 0]))
  labels = images.load(tmp_path / 'a.npz').labels
  assert labels.tolist() == [2, 0] and labels.dtype == np.int32


@pytest.mark.parametrize('low', [0.0, -1.0])
def test_floats_of_a_file_are_scaled_by_their_range(tmp_path, low):
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
  np.save(tmp_path / 'a.npy', low + (1.0 - low) * (levels / 255.0))
  found = images.load(tmp_path / 'a.npy').images
  np.testing.assert_array_equal(found[..., 0], levels)


def refused(path, match):
  with pytest.raises(ValueError, match=match) as caught:
    images.load(path)
  text = str(caught.value)
  assert '\n' not in text and text.startswith(str(path))


def test_python_objects_are_refused(tmp_path):
  np.save(tmp_path / 'a.npy', np.array([{'x': 1}], object))
  refused(tmp_path / 'a.npy', 'never loaded')
  np.savez(tmp_path / 'a.npz', images=np.array([{'x': 1}], object))
  refused(tmp_path / 'a.npz', 'never loaded')
  np.savez(tmp_path / 'b.npz', images=DATA, labels=np.array([{}, {}], object))
  refused(tmp_path / 'b.npz', 'never loaded')


@pytest.mark.parametrize(
  ('data', 'match'),
  [
    (b'', 'magic'),
    (b'no array', 'magic'),
    (header((10**12,)), 'exceed'),
    (header((2, 4, 4)) + bytes(31), 'the file has 31'),
    (header((2, 4, 4)) + bytes(33), 'the file has 33'),
    (header((-2, -4, 4)) + bytes(32), 'header says'),
    (header((2, 4, 4))[:-30], 'array header'),
    (header((2, 4, 4)).replace(b'}', b'('), '(?i)damaged|header'),
    (header((2, 4, 4)).replace(b'\x01\x00', b'\x07\x00', 1), 'format'),
  ],
)
def test_headers_that_disagree_with_the_bytes_are_refused(
  tmp_path, data, match
):
  (tmp_path / 'a.npy').write_bytes(data)
  refused(tmp_path / 'a.npy', match)
  npz(tmp_path / 'a.npz', images_npy=data)
  refused(tmp_path / 'a.npz', match)


def test_a_member_without_suffix_does_not_replace_the_checked_one(tmp_path):
  """numpy's own reader prefers 'images' to 'images.npy'."""
  npz(tmp_path / 'a.npz', images=npy(DATA[:, :2]), images_npy=npy(DATA))
  assert images.load(tmp_path / 'a.npz').images.shape == (2, 4, 4, 1)
  npz(tmp_path / 'b.npz', images=npy(DATA))
  refused(tmp_path / 'b.npz', "no array 'images'")


def test_a_compressed_giant_is_refused_before_it_is_unpacked(tmp_path):
  npz(tmp_path / 'a.npz', images_npy=npy(np.zeros(20_000_000, np.uint8)))
  assert (tmp_path / 'a.npz').stat().st_size < 100_000
  tracemalloc.start()
  try:
    with pytest.raises(ValueError, match='exceed'):
      arrays.read(tmp_path / 'a.npz', max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize(
  ('array', 'match'),
  [
    (np.zeros((2, 4), np.uint8), 'shape'),
    (np.zeros((2, 4, 4, 2), np.uint8), 'shape'),
    (np.zeros((0, 4, 4), np.uint8), 'shape'),
    (np.zeros((2, 0, 4)), 'shape'),
    (np.zeros((2, 3, 8, 8), np.uint8), r'transpose\(0, 2, 3, 1\)'),
    (np.zeros((8, 9, 3), np.uint8), r'one image .*images\[None\]'),
    (np.zeros((9, 8, 4), np.uint8), 'one image'),
    (np.zeros((2, 4, 4), np.int64), 'int64 from 0 to 0'),
    (np.full((2, 4, 4), 7.0), 'values are float64 from 7 to 7'),
    (np.full((2, 4, 4), 0.7), 'too few are dark'),
    (np.full((2, 4, 4), np.nan), '32 NaN'),
  ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array, match):
  np.save(tmp_path / 'a.npy', array)
  refused(tmp_path / 'a.npy', match)


@pytest.mark.parametrize(
  ('labels', 'match'),
  [
    ([0, 1, 2], 'one integer per image'),
    ([0.0, 1.0], 'one integer per image'),
    ([0, -1], r'not in \[0, 10000\)'),
    ([0, 2**40], r'not in \[0, 10000\)'),
  ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, labels, match):
  np.savez(tmp_path / 'a.npz', images=DATA, labels=np.array(labels))
  refused(tmp_path / 'a.npz', match)


@pytest.mark.parametrize('name', ['a.npy', 'a.npz'])
@pytest.mark.filterwarnings('ignore:Reading `.npy`')
def test_damaged_arrays_are_read_or_refused_by_name(tmp_path, name):
  """Whatever a byte does, nothing but a ValueError comes out."""
  rng = np.random.default_rng(0)
  np.savez_compressed(tmp_path / 'a.npz', images=DATA, labels=np.arange(2))
  np.save(tmp_path / 'a.npy', DATA)
  good = (tmp_path / name).read_bytes()
  for _ in range(300):
    bad = bytearray(good)
    for place in rng.integers(0, min(len(bad), 200), 3):
      bad[place] = rng.integers(256)
    (tmp_path / name).write_bytes(bad)
    try:
      assert images.load(tmp_path / name).images.dtype == np.uint8
    except ValueError as error:
      assert str(error).startswith(str(tmp_path / name))

"""IDX files: read exactly, and refused where header and bytes disagree."""

import functools
import gzip
import struct
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from coalesce_jax.data import idx
from coalesce_jax.data import images


def encode(array):
  head = struct.pack('>4B', 0, 0, 8, array.ndim)
  return head + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()


# Without the time of day: names of cases are made of these bytes, and every
# process that runs a share of the tests has to find the same names.
compress = functools.partial(gzip.compress, mtime=0)
GOOD = encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize('shape', [(5,), (2, 3), (2, 3, 4), (2, 3, 4, 1)])
@pytest.mark.parametrize('pack', [bytes, compress], ids=['plain', 'zipped'])
def test_plain_and_compressed_files_are_read(tmp_path, shape, pack):
  data = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
  (tmp_path / 'a').write_bytes(pack(encode(data)))
  np.testing.assert_array_equal(idx.read(tmp_path / 'a'), data)


def test_it_is_a_format_of_a_users_images(tmp_path):
  (tmp_path / 'a.gz').write_bytes(compress(GOOD))
  loaded = images.load(tmp_path / 'a.gz')
  assert loaded.images.shape == (2, 3, 4, 1) and loaded.labels is None


@pytest.mark.parametrize(
  ('data', 'match'),
  [
    (b'', 'not an IDX'),
    (b'PK\x03\x04' + GOOD, 'not an IDX'),
    (b'\0\0\x0d' + GOOD[3:], 'not an IDX'),
    (b'\0\0\x08\x09' + GOOD[4:], 'not an IDX'),
    (GOOD[:6], 'truncated header'),
    (GOOD[:-1], 'header says 24 .* has 23'),
    (GOOD + b'x', 'has more'),
    (struct.pack('>4B3I', 0, 0, 8, 3, 2**31, 2**31, 4), 'exceed'),
    (struct.pack('>4B3I', 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), 'no values'),
    (compress(GOOD)[:-12], 'damaged'),
    (compress(GOOD)[:-8] + bytes(8), 'damaged'),
  ],
  ids=[
    'empty',
    'other format',
    'other type',
    'nine dimensions',
    'short header',
    'byte short',
    'byte long',
    'huge',
    'huge and empty',
    'short gzip',
    'wrong checksum',
  ],
)
def test_damaged_files_are_refused(tmp_path, data, match):
  (tmp_path / 'a').write_bytes(data)
  with pytest.raises(ValueError, match=match) as caught:
    idx.read(tmp_path / 'a')
  assert str(tmp_path / 'a') in str(caught.value)


def test_missing_files_are_refused(tmp_path):
  with pytest.raises(ValueError, match='nowhere'):
    idx.read(tmp_path / 'nowhere')


@pytest.mark.parametrize(
  'data',
  [
    struct.pack('>4BI', 0, 0, 8, 1, 2**30),
    compress(struct.pack('>4BI', 0, 0, 8, 1, 2**30)),
    compress(struct.pack('>4BI', 0, 0, 8, 1, 10) + bytes(50_000_000)),
  ],
  ids=['promise', 'compressed promise', 'bomb'],
)
def test_memory_is_only_taken_for_bytes_that_are_there(tmp_path, data):
  (tmp_path / 'a').write_bytes(data)
  tracemalloc.start()
  try:
    with pytest.raises(ValueError, match='header says'):
      idx.read(tmp_path / 'a')
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
  finally:
    tracemalloc.stop()


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.booleans())
def test_one_wrong_byte_is_a_value_or_refused(
  tmp_path_factory, place, byte, zipped
):
  bad = bytearray(compress(GOOD) if zipped else GOOD)
  bad[place % len(bad)] = byte
  path = tmp_path_factory.mktemp('idx') / 'a'
  path.write_bytes(bad)
  try:
    assert idx.read(path).size == 24
  except ValueError as error:
    assert str(path) in str(error)

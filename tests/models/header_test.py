"""Headers: bounded, without duplicates, and tensors that fill the payload."""

import json
import pickle
import struct

import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import header
from tests import small
from tests.models import damaged

PREFIX = struct.Struct('<Q')


def bare(text):
  """A file that consists of a header."""
  return PREFIX.pack(len(text)) + text


def edited(change):
  return damaged.edited(lambda header, manifest, payload: change(header))


def entry(key, value):
  """A file with one value of the entry of `generator/out/bias` replaced."""
  return edited(
    lambda header: header['generator/out/bias'].update({key: value})
  )


def first(offsets):
  """A bundle with other offsets of the first tensor, which has 8 bytes."""
  return edited(
    lambda found: found['generator/affine/bias'].update(data_offsets=offsets)
  )


def renamed(header):
  header['generator/../../x'] = header.pop('generator/out/bias')


def bomb(header):
  header['generator/out/kernel'].update(
    shape=[10**6, 10**6], data_offsets=[0, 4 * 10**12]
  )


BAD = {
  'empty': (lambda: b'', 'an empty file'),
  'short': (lambda: b'\x93\x00c', '3 bytes are no safetensors file'),
  'pickle': (
    lambda: pickle.dumps({'a': [1, 2, 3] * 50}), 'a pickle, which is never'
  ),
  'huge': (lambda: PREFIX.pack(10**15) + b'{}', 'not a safetensors'),
  'larger than allowed': (
    lambda: bare(b' ' * ((1 << 20) + 1)), 'not a safetensors'
  ),
  'cut': (lambda: bundle.encode(small.drawn(small.VECTORS))[:50], 'truncated'),
  'no manifest': (lambda: bare(b'{"a":{}}'), 'no coalesce_jax manifest'),
  'no mapping': (lambda: bare(b'[1, 2]'), 'no coalesce_jax manifest'),
  'pairs': (
    lambda: bare(b'[["__metadata__", {"coalesce_jax": "{}"}]]'),
    'no coalesce_jax manifest',
  ),
  'no text': (
    lambda: bare(b'{"__metadata__":{"coalesce_jax":3}}'), 'no coalesce_jax man'
  ),
  'list': (
    lambda: bare(b'{"__metadata__":{"coalesce_jax":"[]"}}'), 'no coalesce_jax'
  ),
  'deep': (lambda: bare(b'[' * 90000), 'no coalesce_jax manifest'),
  'twice': (
    lambda: bare(
      b'{"a":1,"a":1,"__metadata__":{"coalesce_jax":"{}"}}'
    ),
    'no coalesce_jax manifest',
  ),
  'twice in the manifest': (
    lambda: bare(b'{"__metadata__":{"coalesce_jax":"{\\"a\\":1,\\"a\\":1}"}}'),
    'no coalesce_jax manifest',
  ),
  'not unicode': (lambda: bare(b'\xff\xff'), 'no coalesce_jax manifest'),
  'renamed': (lambda: edited(renamed), "lacks 'generator/out/bias'"),
  'more': (lambda: edited(lambda h: h.update(more={})), "has 'more'"),
  'bomb': (lambda: edited(bomb), 'its network has F32'),
  'type': (lambda: entry('dtype', 'F16'), 'F16.* its network has F32'),
  'shape': (lambda: entry('shape', [3]), r'F32 \(3,\), its network has'),
  'moved': (lambda: entry('data_offsets', [4, 12]), 'does not lie where'),
  'overlapping': (lambda: entry('data_offsets', [0, 8]), 'does not lie where'),
  'begins late': (lambda: first([1, 8]), 'does not lie where'),
  'ends late': (lambda: first([0, 9]), 'does not lie where'),
  'no offset': (lambda: entry('data_offsets', []), 'malformed'),
  'text offset': (lambda: entry('data_offsets', ['0', '8']), 'does not lie'),
  'no shape': (lambda: entry('shape', None), 'malformed'),
  'no entry': (
    lambda: edited(lambda h: h.update({'generator/out/bias': 3})), 'malformed'
  ),
  'more in an entry': (lambda: entry('more', 1), 'its network has'),
}  # fmt: skip


@pytest.mark.parametrize('name', list(BAD))
def test_headers_of_other_files_are_refused_in_one_line(tmp_path, name):
  make, match = BAD[name]
  damaged.check_refused(tmp_path / 'a.safetensors', make(), match)


def test_files_above_the_limit_are_refused_by_their_size(tmp_path):
  # A hole takes no space on the disk.
  with open(tmp_path / 'a', 'wb') as file:
    file.truncate(header.MAX_BYTES + 1)
  with pytest.raises(cj.BundleError, match='exceed the limit of 536870912'):
    cj.load(tmp_path / 'a')


def test_sizes_that_are_floats_are_the_sizes_that_they_equal(tmp_path):
  (tmp_path / 'a').write_bytes(entry('shape', [2.0]))
  found = cj.load(tmp_path / 'a').params['out']['bias']
  expected = small.drawn(small.VECTORS).params['out']['bias']
  np.testing.assert_array_equal(found, expected)


WANTED = {
  'a': header.Tensor('U8', [(3,), (2, 2)]),
  'b': header.Tensor('F16', [(1, 2)]),
}


def test_tensors_may_lie_in_any_order_and_have_any_shape_allowed():
  entries = {
    'a': {'dtype': 'U8', 'shape': [2, 2], 'data_offsets': [4, 8]},
    'b': {'dtype': 'F16', 'shape': [1, 2], 'data_offsets': [0, 4]},
  }
  assert header.layout(WANTED, entries, 8) == {
    'a': ('U8', (2, 2), 4),
    'b': ('F16', (1, 2), 0),
  }
  for size in (7, 9):
    with pytest.raises(ValueError, match=f'{size} bytes of tensors for 8'):
      header.layout(WANTED, entries, size)


def test_a_file_above_the_limit_has_no_header():
  places = {'a': header.Place('F32', (header.MAX_BYTES // 4 - 40,), 0)}
  assert header.encode({}, places)
  places['b'] = header.Place('U8', (160,), header.MAX_BYTES - 160)
  with pytest.raises(ValueError, match='536870912 bytes exceed 536870912'):
    header.encode({}, places)


def test_a_header_says_what_was_encoded_and_ends_at_a_multiple_of_eight():
  places = {'a': header.Place('U8', (3,), 0), 'b': header.Place('F32', (), 3)}
  data = header.encode({'x': 1}, places)
  found, rest = damaged.parts(data)
  assert rest == b'' and len(data) % 8 == 0
  assert json.loads(found.pop('__metadata__')['coalesce_jax']) == {'x': 1}
  assert found == {
    'a': {'dtype': 'U8', 'shape': [3], 'data_offsets': [0, 3]},
    'b': {'dtype': 'F32', 'shape': [], 'data_offsets': [3, 7]},
  }

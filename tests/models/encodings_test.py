"""Encodings: the seam for a new one, and what each refuses."""

import dataclasses

import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import encodings
from coalesce_jax.models import untrusted
from tests import small

# A toy encoding: leaves in half precision. This is all that one takes.
HALF = encodings.Encoding(
  check=lambda given: {'leaves': untrusted.names(given['leaves'])},
  tensors=lambda described, shape: {'.half': encodings.Tensor('F16', [shape])},
  encode=lambda described, value: {'.half': value.astype(np.float16)},
  decode=lambda described, shape, held: held['.half'].astype(np.float32),
)
TABLE = {**encodings.TABLE, 'half': HALF}


def encoded(leaves=('dense_0/kernel', 'out/kernel'), **others):
  """A float generator whose spec names these leaves of the toy encoding."""
  generator = small.drawn(small.VECTORS)
  described = {'half': {'leaves': list(leaves)}, **others}
  spec = dataclasses.replace(generator.spec, encodings=described)
  return generator._replace(spec=spec)


def test_a_new_encoding_needs_an_entry_of_the_table_and_nothing_else(tmp_path):
  generator, path = encoded(), tmp_path / 'a.safetensors'
  cj.save(path, generator, table=TABLE)
  loaded = cj.load(path, table=TABLE)
  assert loaded.spec.encodings == generator.spec.encodings
  for name, leaf in generator.params['dense_0'].items():
    found = np.asarray(loaded.params['dense_0'][name])
    # Half precision has 11 significant bits; biases stay in single precision.
    bound = 2.0**-11 * np.abs(leaf) if name == 'kernel' else 0.0
    assert found.dtype == np.float32
    assert np.all(np.abs(found - leaf) <= bound)
  kernels = [each.params['out']['kernel'] for each in (loaded, generator)]
  assert not np.array_equal(*kernels)
  assert bundle.encode(loaded, table=TABLE) == path.read_bytes()
  manifest = bundle.inspect(path, table=TABLE)
  assert manifest['half'] == {'leaves': ['dense_0/kernel', 'out/kernel']}
  assert manifest['ternary'] is None


def test_an_encoding_is_named_only_where_it_is_used_and_known(tmp_path):
  path = tmp_path / 'a.safetensors'
  cj.save(path, small.drawn(small.VECTORS), table=TABLE)
  assert 'half' not in bundle.inspect(path)
  cj.save(path, encoded(), table=TABLE)
  match = r"^.*unknown encoding 'half', known are \['ternary'\]$"
  for read in (cj.load, bundle.inspect):
    with pytest.raises(cj.BundleError, match=match):
      read(path)
  with pytest.raises(ValueError, match=match):
    cj.save(path, encoded())


def test_settings_of_a_file_reach_only_the_encodings_that_have_them(tmp_path):
  table = {**TABLE, 'half': HALF._replace(check=dict, file_keys=('note',))}
  generator = encoded(['out/kernel'])
  cj.save(tmp_path / 'a', generator, packing='trits', table=table)
  assert bundle.inspect(tmp_path / 'a', table=table)['half'] == {
    'leaves': ['out/kernel']
  }


def test_values_that_half_precision_cannot_hold_are_not_written():
  generator = encoded(['out/kernel'])
  generator.params['out']['kernel'][0, 0] = 1e5
  with pytest.raises(ValueError, match=r'out/kernel: not finite in its enc'):
    bundle.encode(generator, table=TABLE)
  generator.params['out']['kernel'][0, 0] = np.inf
  with pytest.raises(ValueError, match=r'out/kernel: not finite$'):
    bundle.encode(generator, table=TABLE)


@pytest.mark.parametrize(
  ('generator', 'message'),
  [
    (encoded(['out/karnel']), "half leaf 'out/karnel' is not in the network"),
    (encoded(['out/bias', 'out/bias']), 'a name is repeated'),
    (
      encoded(['out/bias'], other={'leaves': ['out/bias']}),
      "second enc.*'other",
    ),
    (encoded(['out/bias'], network={'leaves': []}), "have the name 'network'"),
    (encoded([], other=None), "'other' has no description"),
    (encoded([], other={}), "'other': incomplete description"),
  ],
)
def test_descriptions_that_do_not_fit_are_not_written(generator, message):
  table = {**TABLE, 'other': HALF, 'network': HALF}
  with pytest.raises(ValueError, match=message) as caught:
    bundle.encode(generator, table=table)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'encode': lambda d, value: {'.full': value}}, r"gives tensors \['.full'"),
    ({'encode': lambda d, value: {'.half': value}}, 'gives float32'),
    (
      {'encode': lambda d, value: {'.half': value.astype(np.float16)[:1]}},
      r'gives float16 \(1, 2\)',
    ),
  ],
)
def test_tensors_other_than_announced_are_not_written(change, message):
  table = {**TABLE, 'half': HALF._replace(**change)}
  with pytest.raises(ValueError, match=rf'out/kernel: its encoding {message}'):
    bundle.encode(encoded(['out/kernel']), table=table)


@pytest.mark.parametrize(
  ('decode', 'message'),
  [
    (lambda d, shape, held: held['.half'], 'decodes to float16'),
    (lambda d, shape, held: np.zeros(3, np.float32), r'float32 \(3,\)'),
    (
      lambda d, shape, held: (
        held['.half'].astype(np.float32) * np.float32(3e38) * np.float32(9)
      ),
      'decodes to values that are not finite',
    ),
  ],
)
def test_leaves_other_than_the_network_has_are_not_read(
  tmp_path, decode, message
):
  cj.save(tmp_path / 'a', encoded(['out/kernel']), table=TABLE)
  table = {**TABLE, 'half': HALF._replace(decode=decode)}
  with pytest.raises(
    cj.BundleError, match=rf'generator/out/kernel: .*{message}'
  ):
    cj.load(tmp_path / 'a', table=table)


TERNARY = {
  'scheme': 'twn', 'granularity': 'channel', 'leaves': ['w'], 'packing': 'trits'
}  # fmt: skip


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('scheme', 'x', "ternary scheme 'x'"),
    ('granularity', ['layer'], 'granularity'),
    ('packing', 3, "packing '3'"),
    ('leaves', 'w', 'no list of at most 1000'),
    ('leaves', ['w'] * 2, 'repeated'),
    ('leaves', [str(i) for i in range(1001)], 'no list of at most 1000'),
    ('leaves', [1], "'1' is no text of at most 4096"),
  ],
)
def test_a_ternary_description_is_bounded(key, value, message):
  check = encodings.TABLE['ternary'].check
  assert check(TERNARY) == TERNARY
  with pytest.raises(ValueError, match=message):
    check({**TERNARY, key: value})


def test_two_bits_are_meant_where_no_packing_is_named():
  unnamed = {k: v for k, v in TERNARY.items() if k != 'packing'}
  found = encodings.TABLE['ternary'].check({**unnamed, 'unknown': 1})
  assert found == {**TERNARY, 'packing': '2bit'}


@pytest.mark.parametrize(
  ('granularity', 'groups'), [('layer', 1), ('channel', 3)]
)
def test_tensors_of_a_ternary_leaf_hold_five_trits_a_byte(granularity, groups):
  described = {**TERNARY, 'granularity': granularity}
  found = encodings.TABLE['ternary'].tensors(described, (4, 3))
  assert found == {
    '.codes': ('U8', [(3,)]),
    '.scales': ('F32', [(1, groups), (2, groups)]),
  }
  # A leaf without axes is one group.
  assert encodings.TABLE['ternary'].tensors(described, ()) == {
    '.codes': ('U8', [(1,)]),
    '.scales': ('F32', [(1, 1), (2, 1)]),
  }


def test_a_negative_scale_is_refused():
  held = {
    '.codes': np.array([1 + 2 * 3], np.uint8),
    '.scales': np.array([[0.5]], np.float32),
  }
  decode = encodings.TABLE['ternary'].decode
  described = {**TERNARY, 'granularity': 'layer'}
  np.testing.assert_array_equal(decode(described, (2,), held), [0.5, -0.5])
  with pytest.raises(ValueError, match='a scale is negative'):
    decode(described, (2,), {**held, '.scales': -held['.scales']})

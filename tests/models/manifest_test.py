"""Manifests: promises that networks keep within bounds, and no others."""

import dataclasses

import pytest

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import encodings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import header
from coalesce_jax.models import manifest
from tests import small
from tests.models import damaged

TERNARY = {'scheme': 'twn', 'granularity': 'layer', 'leaves': ['out/kernel']}
# Field -> a value that is refused, and why.
BAD = {
  'format_version': (2, 'format version 2, this program reads 1'),
  'network': ('evil', "'evil' is not one of"),
  'options': ({'hidden': [10**9]}, 'not 1 to 4 sizes'),
  'latent_size': (-1, 'not 1 to 4 sizes'),
  'image_shape': ([8, 8, 10**9], 'not 1 to 4 sizes'),
  'value_range': ([0.0, 1.0], r'value range \[0.0, 1.0\]'),
  'critic': ('evil', "'evil' is not one of"),
  'critic_options': ({'../x': 1}, 'not a name'),
  'provenance': ({'a': 'x' * 9999}, 'no text of at most 4096'),
  'payload_sha256': (None, 'no text of at most 4096'),
  'ternary': ({**TERNARY, 'scheme': 'x'}, "ternary scheme 'x'"),
}


def edited(generator=None, **fields):
  """A bundle with these fields of its manifest replaced."""
  return damaged.edited(
    lambda header, manifest, payload: manifest.update(fields), generator
  )


def coded():
  """A generator whose kernels are ternary."""
  return small.coded(small.drawn(small.VECTORS), 'layer', 1)


@pytest.mark.parametrize('field', list(BAD))
def test_a_manifest_with_a_bad_field_is_refused(tmp_path, field):
  value, match = BAD[field]
  damaged.check_refused(tmp_path / 'a', edited(**{field: value}), match)


@pytest.mark.parametrize('field', list(BAD))
def test_a_manifest_without_a_field_is_refused(tmp_path, field):
  def change(header, manifest, payload):
    del header, payload, manifest[field]

  data = damaged.edited(change)
  match = 'format version' if field == 'format_version' else 'incomplete'
  damaged.check_refused(tmp_path / 'a', data, match)


def test_every_field_of_a_manifest_is_among_these(tmp_path):
  cj.save(tmp_path / 'a', small.drawn(small.VECTORS))
  assert set(bundle.inspect(tmp_path / 'a')) == set(BAD)
  # Only translators have a condition.
  assert manifest.FIELDS == set(BAD) - {'ternary'} | {'condition_shape'}


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (
      {
        'network': 'mlp', 'options': {'hidden': [4096] * 4},
        'image_shape': [1024, 1024], 'critic': None,
      },
      'too many',
    ),
    ({'critic': 'mlp', 'critic_options': {'hidden': [4096] * 16}}, 'too many'),
    ({'options': {'hidden': None}}, 'neither'),
    ({'options': []}, 'incomplete'),
    ({'provenance': []}, 'incomplete'),
    ({'ternary': []}, "'ternary' has no description"),
    ({'ternary': {'scheme': 'twn'}}, "incomplete description .'granularity'"),
    ({'ternary': {**TERNARY, 'leaves': ['x']}}, 'not in the network'),
    ({'ternary': {**TERNARY, 'packing': 'x'}}, "packing 'x'"),
    ({'ternary': TERNARY}, "lacks 'generator/out/kernel.codes'"),
    ({'int7': {'leaves': []}}, "unknown encoding 'int7', known are"),
    ({'int7': None}, "unknown encoding 'int7', known are"),
  ],
)  # fmt: skip
def test_promises_that_cannot_be_kept_are_refused(tmp_path, fields, match):
  damaged.check_refused(tmp_path / 'a', edited(**fields), match)


def test_another_packing_than_that_of_the_file_is_refused(tmp_path):
  generator = coded()
  described = generator.spec.encodings['ternary']
  data = edited(generator, ternary={**described, 'packing': 'trits'})
  damaged.check_refused(tmp_path / 'a', data, 'its network has U8')


def test_parsing_gives_the_spec_that_was_written():
  generator = coded()
  spec = dataclasses.replace(
    generator.spec,
    options=generator_lib.freeze({'hidden': (16,), 'affine': False}),
    provenance={'dataset': 'digits'},
  )
  described = {**spec.encodings['ternary'], 'leaves': ['out/kernel']}
  spec = dataclasses.replace(spec, encodings={'ternary': described})
  made = manifest.contents(
    spec, spec.encodings, encodings.TABLE, {'packing': 'trits'}
  )
  assert made.spec == spec
  written = manifest.make(made, 'ab')
  assert written['payload_sha256'] == 'ab'
  assert written['ternary'] == {**described, 'packing': 'trits'}
  assert manifest.parse(written, encodings.TABLE) == made


def test_tensors_are_those_of_the_networks_and_their_encodings():
  described = {**TERNARY, 'granularity': 'channel'}
  spec = dataclasses.replace(small.VECTORS, critic_options=(('hidden', ()),))
  found = manifest.tensors(
    manifest.contents(spec, {'ternary': described}, encodings.TABLE)
  )
  assert found.pop('generator/out/kernel.codes') == ('U8', [(8,)])
  assert found.pop('generator/out/kernel.scales') == ('F32', [(1, 2), (2, 2)])
  assert found == {
    name: header.Tensor('F32', [shape])
    for name, shape in {
      'critic/head/bias': (1,),
      'critic/head/kernel': (2, 1),
      'generator/affine/bias': (2,),
      'generator/affine/kernel': (2, 2),
      'generator/dense_0/bias': (16,),
      'generator/dense_0/kernel': (2, 16),
      'generator/out/bias': (2,),
    }.items()
  }

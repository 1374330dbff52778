"""Bundles: exact, deterministic, and closed to whatever is not one."""

import dataclasses
import json
import pickle
import struct
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.transforms import ternary
from tests import small

KEY = jax.random.key(0)


def equal(a, b):
  same = jax.tree.structure(a) == jax.tree.structure(b)
  return same and all(
    np.array_equal(x, y)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def float_bundle():
  generator = small.generator(spec=small.IMAGES)
  return generator._replace(
    spec=dataclasses.replace(generator.spec, provenance={'dataset': 'digits'})
  )


def ternary_bundle(scheme='truncated_gaussian', granularity='channel'):
  return small.ternarized(float_bundle(), scheme, granularity)


@pytest.mark.parametrize('with_critic', [True, False])
def test_a_float_bundle_comes_back_exactly(tmp_path, with_critic):
  generator = float_bundle()
  cj.save(tmp_path / 'a.safetensors', generator, critic=with_critic)
  loaded = cj.load(tmp_path / 'a.safetensors')
  assert equal(loaded.params, generator.params)
  assert (loaded.critic is not None) == with_critic
  if with_critic:
    assert equal(loaded.critic, generator.critic)
    assert loaded.spec == generator.spec
  np.testing.assert_array_equal(loaded.sample(KEY, 5), generator.sample(KEY, 5))


@pytest.mark.parametrize('scheme', ternary.SCHEMES)
@pytest.mark.parametrize('granularity', ternary.GRANULARITIES)
@pytest.mark.parametrize('packing', ['2bit', 'trits'])
def test_a_ternary_bundle_comes_back_exactly(
  tmp_path, scheme, granularity, packing
):
  generator = ternary_bundle(scheme, granularity)
  cj.save(tmp_path / 'a.safetensors', generator, packing=packing)
  loaded = cj.load(tmp_path / 'a.safetensors')
  assert equal(loaded.params, generator.params)
  assert loaded.spec.encodings == generator.spec.encodings


def test_equal_generators_give_equal_bytes_and_sizes_are_those_of_files(
  tmp_path,
):
  generator = ternary_bundle()
  assert bundle.encode(generator) == bundle.encode(generator)
  cj.save(tmp_path / 'a.safetensors', generator, critic=False)
  size = (tmp_path / 'a.safetensors').stat().st_size
  assert size == bundle.size_bytes(generator)
  assert size > bundle.size_bytes(generator, 'trits')


def test_the_file_is_a_safetensors_file(tmp_path):
  cj.save(tmp_path / 'a.safetensors', float_bundle())
  tensors = safetensors.numpy.load_file(tmp_path / 'a.safetensors')
  assert 'generator/out/kernel' in tensors and 'critic/head/kernel' in tensors


def test_a_bundle_that_does_not_name_its_packing_has_two_bits(tmp_path):
  """As all were written before there was another."""
  generator = ternary_bundle()

  def older(header, manifest, payload):
    del header, payload
    del manifest['ternary']['packing']

  (tmp_path / 'a.safetensors').write_bytes(edited(older, generator))
  loaded = cj.load(tmp_path / 'a.safetensors')
  assert equal(loaded.params, generator.params)


def test_the_paper_network_packs_to_a_fifteenth_and_less():
  spec = generator_lib.Spec('wgan_gp_mnist', 128, (28, 28, 1))
  generator = generator_lib.create(spec, spec.build().init(KEY))
  transform = ternary.ternary(leaves=('.*/kernel',))
  params = transform.apply(transform.init(KEY, generator.params))
  described = ternary.describe(
    params, scheme='twn', granularity='layer', leaves=('.*/kernel',)
  )
  small_one = generator._replace(
    params=params,
    spec=dataclasses.replace(spec, encodings={'ternary': described}),
  )
  for packing, limit in (('2bit', 15.0), ('trits', 18.0)):
    packed = bundle.size_bytes(small_one, packing)
    assert bundle.size_bytes(generator) / packed >= limit


def test_nothing_is_left_behind_when_saving_fails(tmp_path):
  generator = float_bundle()
  bad = jax.tree.map(lambda x: x * jnp.nan, generator.params)
  with pytest.raises(ValueError, match='not finite'):
    cj.save(tmp_path / 'a.safetensors', generator._replace(params=bad))
  wrong = {**generator.params, 'more': jnp.ones(2)}
  with pytest.raises(ValueError, match='not in its network'):
    cj.save(tmp_path / 'a.safetensors', generator._replace(params=wrong))
  assert not list(tmp_path.iterdir())


def parts(data):
  (length,) = struct.unpack('<Q', data[:8])
  header = json.loads(data[8 : 8 + length])
  return header, data[8 + length :]


def joined(header, payload):
  text = json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + payload


def edited(change, generator=None):
  """A bundle whose header, manifest or payload was changed."""
  header, payload = parts(bundle.encode(generator or float_bundle()))
  manifest = json.loads(header['__metadata__']['coalesce_jax'])
  payload = change(header, manifest, payload) or payload
  header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  return joined(header, payload)


def edit(path, value):
  """A change of one manifest entry."""

  def change(header, manifest, payload):
    del header, payload
    manifest[path] = value

  return change


def bomb(header, manifest, payload):
  del manifest, payload
  header['generator/out/kernel']['shape'] = [10**6, 10**6]
  header['generator/out/kernel']['data_offsets'] = [0, 4 * 10**12]


def moved(header, manifest, payload):
  del manifest, payload
  header['generator/out/bias']['data_offsets'] = [0, 4]


def renamed(header, manifest, payload):
  del manifest, payload
  header['generator/../../x'] = header.pop('generator/out/bias')


def half(header, manifest, payload):
  del manifest, payload
  header['generator/out/bias']['dtype'] = 'F16'


def poisoned(header, manifest, payload):
  """NaN weights with a digest to match."""
  from coalesce_jax.core import files

  del header
  payload = struct.pack('<f', float('nan')) * (len(payload) // 4)
  manifest['payload_sha256'] = files.digest([payload])
  return payload


BAD = {
  'empty': (lambda: b'', 'no safetensors'),
  'short': (lambda: b'abc', 'no safetensors'),
  'truncated': (lambda: bundle.encode(float_bundle())[:-100], 'truncated'),
  'padded': (lambda: bundle.encode(float_bundle()) + b'x', 'padded'),
  'cut header': (lambda: bundle.encode(float_bundle())[:50], 'truncated'),
  'pickle': (lambda: pickle.dumps({'a': [1, 2, 3] * 50}), 'not a safetensors'),
  'huge header': (
    lambda: struct.pack('<Q', 10**15) + b'{}', 'not a safetensors'
  ),
  'no manifest': (lambda: joined({'a': {}}, b''), 'no coalesce_jax manifest'),
  'deep json': (
    lambda: struct.pack('<Q', 90000) + b'[' * 90000, 'no coalesce_jax'
  ),
  'twice': (
    lambda: struct.pack('<Q', 30) + b'{"__metadata__":1,"a":1,"a":1}', 'no coal'
  ),
  'bomb': (lambda: edited(bomb), 'its network has'),
  'moved': (lambda: edited(moved), 'does not lie where'),
  'renamed': (lambda: edited(renamed), 'lacks'),
  'half': (lambda: edited(half), 'F16'),
  'poisoned': (lambda: edited(poisoned), 'not finite'),
  'version': (lambda: edited(edit('format_version', 2)), 'format version 2'),
  'network': (lambda: edited(edit('network', 'evil')), 'not one of'),
  'width': (lambda: edited(edit('options', {'width': 10**9})), 'not in'),
  'wide mlp': (
    lambda: edited(
      lambda h, m, p: m.update(
        network='mlp', options={'hidden': [4096, 4096, 4096, 4096]},
        image_shape=[1024, 1024], critic=None,
      )
    ),
    'too many',
  ),
  'latent': (lambda: edited(edit('latent_size', -1)), 'no sizes'),
  'shape': (lambda: edited(edit('image_shape', [8, 8, 10**9])), 'no sizes'),
  'options': (lambda: edited(edit('options', {'width': None})), 'neither'),
  'option name': (lambda: edited(edit('options', {'../x': 1})), 'no name'),
  'digest': (lambda: edited(edit('payload_sha256', 'x')), 'sha256'),
  'provenance': (lambda: edited(edit('provenance', {'a': 'x' * 9999})), 'text'),
  'scheme': (
    lambda: edited(
      edit('ternary', {'scheme': 'x', 'granularity': 'layer', 'leaves': []})
    ),
    'scheme',
  ),
  'packing': (
    lambda: edited(
      lambda h, m, p: m['ternary'].update(packing='x'), ternary_bundle()
    ),
    "packing 'x'",
  ),
  'other packing': (
    lambda: edited(
      lambda h, m, p: m['ternary'].update(packing='trits'), ternary_bundle()
    ),
    'its network has U8',
  ),
  'leaves': (
    lambda: edited(
      edit(
        'ternary',
        {'scheme': 'twn', 'granularity': 'layer', 'leaves': ['x']},
      )
    ),
    'none of the network',
  ),
}  # fmt: skip


@pytest.mark.parametrize('name', list(BAD))
def test_what_is_no_bundle_is_refused_in_one_line(tmp_path, name):
  make, match = BAD[name]
  path = tmp_path / 'a.safetensors'
  path.write_bytes(make())
  tracemalloc.start()
  with pytest.raises(cj.BundleError, match=match) as caught:
    cj.load(path)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  text = str(caught.value)
  assert str(path) in text and '\n' not in text and len(text) < 700
  assert peak < 20_000_000


def test_missing_files_and_folders_are_refused(tmp_path):
  for path in (tmp_path / 'nowhere', tmp_path):
    with pytest.raises(cj.BundleError, match='no such file'):
      cj.load(path)

"""Bundles: exact, deterministic, and closed to whatever is not one."""

import dataclasses
import struct

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
from tests.models import damaged

KEY = jax.random.key(0)


def equal(a, b):
  same = jax.tree.structure(a) == jax.tree.structure(b)
  return same and all(
    np.array_equal(x, y)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def dense(spec=small.VECTORS):
  """A generator and a critic by NumPy: nothing is compiled."""
  spec = dataclasses.replace(spec, provenance={'dataset': 'digits'})
  rng = np.random.default_rng(1)
  critic = jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape, np.float32),
    jax.eval_shape(spec.build_critic().init, KEY),
  )
  return small.drawn(spec)._replace(critic=critic)


@pytest.mark.parametrize('with_critic', [True, False])
def test_a_float_bundle_comes_back_exactly(tmp_path, with_critic):
  generator = dense()
  cj.save(tmp_path / 'a.safetensors', generator, critic=with_critic)
  loaded = cj.load(tmp_path / 'a.safetensors')
  assert equal(loaded.params, generator.params)
  assert (loaded.critic is not None) == with_critic
  if with_critic:
    assert equal(loaded.critic, generator.critic)
    assert loaded.spec == generator.spec
  else:
    assert loaded.spec == dataclasses.replace(
      generator.spec, critic=None, critic_options=()
    )
  np.testing.assert_array_equal(loaded.sample(KEY, 5), generator.sample(KEY, 5))


def test_a_network_without_hidden_layers_comes_back(tmp_path):
  spec = generator_lib.Spec('mlp', 3, (2,), (('hidden', ()),))
  cj.save(tmp_path / 'a', small.drawn(spec))
  assert cj.load(tmp_path / 'a').spec == spec


@pytest.mark.parametrize('scheme', ternary.SCHEMES)
@pytest.mark.parametrize('granularity', ternary.GRANULARITIES)
@pytest.mark.parametrize('packing', ['2bit', 'trits'])
def test_a_ternary_bundle_comes_back_exactly(
  tmp_path, scheme, granularity, packing
):
  generator = small.ternarized(dense(), scheme, granularity)
  cj.save(tmp_path / 'a.safetensors', generator, packing=packing)
  loaded = cj.load(tmp_path / 'a.safetensors')
  assert equal(loaded.params, generator.params)
  assert loaded.spec.encodings == generator.spec.encodings


def test_equal_generators_give_equal_bytes_and_sizes_are_those_of_files(
  tmp_path,
):
  generator = small.coded(dense(small.IMAGES), 'channel', 1)
  assert bundle.encode(generator) == bundle.encode(generator)
  cj.save(tmp_path / 'a.safetensors', generator, critic=False)
  size = (tmp_path / 'a.safetensors').stat().st_size
  assert size == bundle.size_bytes(generator)
  assert size > bundle.size_bytes(generator, 'trits')


def test_the_file_is_a_safetensors_file(tmp_path):
  cj.save(tmp_path / 'a.safetensors', dense(small.IMAGES))
  tensors = safetensors.numpy.load_file(tmp_path / 'a.safetensors')
  assert 'generator/out/kernel' in tensors and 'critic/head/kernel' in tensors


def test_the_paper_network_packs_to_a_fifteenth_and_less():
  spec = generator_lib.Spec('wgan_gp_mnist', 128, (28, 28, 1))
  generator = small.drawn(spec)
  small_one = small.coded(generator, 'layer', 1)
  for packing, limit in (('2bit', 15.0), ('trits', 18.0)):
    packed = bundle.size_bytes(small_one, packing)
    assert bundle.size_bytes(generator) / packed >= limit


def test_nothing_is_left_behind_when_saving_fails(tmp_path):
  generator = dense()
  bad = jax.tree.map(lambda x: x * jnp.nan, generator.params)
  with pytest.raises(ValueError, match='not finite'):
    cj.save(tmp_path / 'a.safetensors', generator._replace(params=bad))
  wrong = {**generator.params, 'more': jnp.ones(2)}
  with pytest.raises(ValueError, match='not in its network'):
    cj.save(tmp_path / 'a.safetensors', generator._replace(params=wrong))
  assert not list(tmp_path.iterdir())


def poisoned(header, manifest, payload):
  del header, manifest
  return struct.pack('<f', float('nan')) * (len(payload) // 4)


@pytest.mark.parametrize(
  ('provenance', 'message'),
  [
    ({'a': 'x' * 4097}, 'no text of at most 4096'),
    ({'seed': 3}, "'3' is no text"),
    ({str(i): 'x' * 4000 for i in range(300)}, r'header of \d+ bytes exceeds'),
  ],
)
def test_what_could_not_be_read_is_not_written(provenance, message):
  generator = small.drawn(small.VECTORS)
  spec = dataclasses.replace(generator.spec, provenance=provenance)
  with pytest.raises(ValueError, match=message):
    bundle.encode(generator._replace(spec=spec))


def test_an_unknown_packing_is_refused_without_ternary_leaves_too():
  with pytest.raises(ValueError, match="packing 'x' is not one of"):
    bundle.encode(small.drawn(small.VECTORS), packing='x')


def test_a_critic_that_is_not_finite_or_does_not_fit_is_not_written():
  generator = dense()
  bad = jax.tree.map(lambda x: x * np.float32(np.inf), generator.critic)
  with pytest.raises(ValueError, match=r'^critic/.*: not finite$'):
    bundle.encode(generator._replace(critic=bad))
  with pytest.raises(ValueError, match="leaf 'dense_0/bias' is missing"):
    bundle.encode(generator._replace(critic={'head': generator.critic['head']}))
  # A critic that stays at home does not matter.
  assert bundle.encode(generator._replace(critic=bad), critic=False)


DATA = bundle.encode(small.drawn(small.VECTORS))
BAD = {
  'truncated': (lambda: DATA[:-100], 'truncated or padded'),
  'padded': (lambda: DATA + b'x', 'truncated or padded'),
  'flipped': (lambda: DATA[:-1] + b'x', 'damaged, its sha256'),
  'poisoned': (lambda: damaged.edited(poisoned), 'not finite'),
}


@pytest.mark.parametrize('name', list(BAD))
def test_other_payloads_are_refused_in_one_line(tmp_path, name):
  make, match = BAD[name]
  damaged.check_refused(tmp_path / 'a.safetensors', make(), match)


@pytest.mark.parametrize('name', ['generator/out/bias', 'critic/head/bias'])
def test_a_leaf_that_is_not_finite_is_named(tmp_path, name):
  def change(header, manifest, payload):
    del manifest
    at = header[name]['data_offsets'][0]
    return payload[:at] + struct.pack('<f', np.inf) + payload[at + 4 :]

  data = damaged.edited(change, dense())
  match = f'{name}: holds values that are not finite'
  damaged.check_refused(tmp_path / 'a', data, match)


def test_a_manifest_is_shown_only_of_a_file_whose_tensors_fit(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(DATA)
  assert bundle.inspect(path)['network'] == 'mlp'
  for data, match in ((DATA + b'x', 'padded'), (DATA[:50], 'truncated')):
    path.write_bytes(data)
    with pytest.raises(cj.BundleError, match=match):
      bundle.inspect(path)


def test_missing_files_are_refused(tmp_path):
  for path in (tmp_path / 'nowhere', '/dev/null/a', f'{tmp_path}/a\0b'):
    with pytest.raises(cj.BundleError, match=r'(no such file|null byte)$'):
      cj.load(path)


@pytest.mark.parametrize(
  'factor,message', [(1.0 + 1.0j, 'complex'), (1e300, 'not finite')]
)
def test_parameters_that_float32_would_change_are_not_written(
  tmp_path, factor, message
):
  made = small.generator()
  wide = jax.tree.map(lambda w: np.float64(w) * factor, made.params)
  with pytest.raises(ValueError, match=message):
    bundle.save(tmp_path / 'a.safetensors', made._replace(params=wide))
  assert not list(tmp_path.iterdir())

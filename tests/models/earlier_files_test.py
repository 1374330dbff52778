"""Files of format version 1 that earlier revisions of this package wrote.

Those revisions had no table of encodings. The package must read their files,
which are kept in `fixtures/`, and must still write the same bytes. Integer
arithmetic gives all weights, so no random generator of any version matters.
"""

import dataclasses
import hashlib
import pathlib

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib
from tests import small

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
DENSE = generator_lib.Spec(
  'mlp', 2, (3,), (('hidden', (5,)),), 'mlp', (('hidden', (4,)),),
  provenance={'dataset': 'digits', 'classes': '0,1'},
)  # fmt: skip
IMAGES = generator_lib.Spec('dcgan', 4, (8, 8, 1), (('width', 2),))
KERNELS = ['out/kernel', 'project/kernel', 'up_1/kernel']
# Name of the file -> its packing, and the sha256 of what that program wrote.
FILES = {
  'dense': (
    '2bit',
    '726ba06b72451138484b361b0b9b999edbeec673ebc8c62b4baa3f6eb4849b21',
  ),
  'layer': (
    '2bit',
    '55803cdc5de691511c38e2fea02f6084c7089859d2f46f274d505a9c7571c2ec',
  ),
  'channel': (
    '2bit',
    'e17e1f154ddc7728d42058b4f85598c56f1cfce980a45bab266a6fcbf64a5420',
  ),
  'trits': (
    'trits',
    'aed6e23e10ac25b33f5dceec47490f9775806b233b72ff6a25ef934a10301d5c',
  ),
}


def dense(init, step):
  """Parameters whose weights are multiples of 1/128 below 1."""

  def fill(leaf):
    weights = (np.arange(leaf.size) * 7919 + step) % 257 - 128
    return (weights / 128).astype(np.float32).reshape(leaf.shape)

  return jax.tree.map(fill, jax.eval_shape(init, jax.random.key(0)))


def coded(params, granularity, low):
  """Kernels of -low s, 0 and s, with a scale s for each channel or layer."""

  def code(name, leaf):
    if name not in KERNELS:
      return leaf
    signs = (np.arange(leaf.size) * 7 // 2 % 3 - 1).reshape(leaf.shape)
    scale = np.ones(leaf.shape[-1], np.float32) / 4
    if granularity == 'channel':
      scale = scale + np.arange(leaf.shape[-1]) % 4
    value = np.where(signs > 0, scale, np.where(signs < 0, -low * scale, 0.0))
    return value.astype(np.float32)

  return trees.map_named(code, params)


def made(name):
  """The generator in the file of this name."""
  if name == 'dense':
    return generator_lib.create(
      DENSE, dense(DENSE.build().init, 3), dense(DENSE.build_critic().init, 5)
    )
  granularity = 'layer' if name == 'layer' else 'channel'
  described = {
    'scheme': 'ttq' if name == 'trits' else 'twn',
    'granularity': granularity,
    'leaves': KERNELS,
  }
  spec = dataclasses.replace(IMAGES, encodings={'ternary': described})
  params = dense(spec.build().init, 3)
  low = 1.5 if name == 'trits' else 1.0
  return generator_lib.create(spec, coded(params, granularity, low))


@pytest.mark.parametrize('name', list(FILES))
def test_bytes_are_those_of_the_earlier_revision(name):
  packing, digest = FILES[name]
  data = bundle.encode(made(name), packing=packing)
  assert hashlib.sha256(data).hexdigest() == digest


@pytest.mark.parametrize('name', list(FILES))
def test_files_of_the_earlier_revision_are_read_as_they_were_meant(name):
  path = FIXTURES / f'{name}.safetensors'
  assert hashlib.sha256(path.read_bytes()).hexdigest() == FILES[name][1]
  loaded, expected = cj.load(path), made(name)
  assert loaded.spec == expected.spec
  for found, wanted in (
    (loaded.params, expected.params), (loaded.critic, expected.critic)
  ):  # fmt: skip
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_a_file_from_before_packings_had_names_holds_two_bits_a_weight():
  """The revision that introduced bundles wrote it."""
  loaded = cj.load(FIXTURES / 'unnamed_packing.safetensors')
  assert loaded.spec == made('channel').spec
  jax.tree.map(
    np.testing.assert_array_equal, loaded.params, made('channel').params
  )


def test_a_file_of_the_earlier_command_line_is_read_and_written_again():
  """`coalesce adapt --ternary --packing=trits` wrote it, with a critic."""
  path = FIXTURES / 'command_line.safetensors'
  loaded = cj.load(path)
  assert loaded.spec.provenance['stage'] == 'adapt'
  assert bundle.encode(loaded, packing='trits') == path.read_bytes()
  kernel = np.asarray(loaded.params['project']['kernel'])
  scales = np.unique(np.abs(kernel[..., 0]))
  assert len(scales) == 2 and scales[0] == 0.0
  sample = loaded.sample(jax.random.key(0), 2)
  assert sample.shape == (2, *small.IMAGES.image_shape)

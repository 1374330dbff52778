"""Translators: what they take and refuse, and their bundles."""

import dataclasses
import json
import struct

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.models import translator
from coalesce_jax.networks import translators

OPTIONS = {'width': 2, 'downs': 1, 'norm': 'none'}
SPEC = generator.Spec(
  'unet', 0, (8, 8, 1), generator.freeze(OPTIONS), condition_shape=(8, 8, 3),
  provenance={'stage': 'translate'},
)  # fmt: skip
RNG = np.random.default_rng(0)


def made(seed=0):
  params = SPEC.build().init(jax.random.key(seed))
  return translator.create(SPEC, params)


def test_batches_and_sizes_do_not_change_the_network():
  ours = made()
  images = RNG.uniform(-1, 1, (5, 6, 10, 3)).astype(np.float32)
  network = translators.translator(
    'unet', in_channels=3, out_channels=1, **OPTIONS
  )
  wanted = network.apply(ours.params, images)
  assert wanted.shape == (5, 6, 10, 1)
  for batch in (2, 16):
    np.testing.assert_allclose(ours(images, batch), wanted, atol=1e-6)
  levels = RNG.integers(0, 256, (2, 6, 6, 3), np.uint8)
  np.testing.assert_allclose(
    ours(levels), ours(levels.astype(np.float32) / 127.5 - 1.0), atol=1e-6
  )


def test_images_are_alone_in_a_batch_whatever_the_norm():
  spec = dataclasses.replace(
    SPEC, options=generator.freeze({**OPTIONS, 'downs': 2, 'norm': 'batch'})
  )
  network = spec.build()
  ours = translator.create(spec, network.init(jax.random.key(0)))
  images = RNG.uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
  alone = [network.apply(ours.params, image[None])[0] for image in images]
  together = network.apply(ours.params, images)
  assert np.abs(together - np.stack(alone)).max() > 1e-3
  for batch in (1, 2, 16):
    np.testing.assert_allclose(ours(images, batch), alone, atol=1e-6)


def test_sizes_that_are_padded_alike_share_one_program():
  ours, traced = made(), []

  def apply(params, images):
    traced.append(images.shape)
    return ours.network.apply(params, images)

  counted = ours._replace(network=ours.network._replace(apply=apply))
  for size in ((7, 3), (7, 4), (8, 3), (8, 4)):
    assert counted.padded(size) == (8, 4)
    images = RNG.integers(0, 256, (1, *size, 3), np.uint8)
    wanted = ours.network.apply(ours.params, images / np.float32(127.5) - 1.0)
    np.testing.assert_allclose(counted(images), wanted, atol=1e-5)
  assert traced == [(1, 8, 4, 3)]
  np.testing.assert_allclose(
    jax.jit(lambda x: ours(x))(images[:, :7]), ours(images[:, :7]), atol=1e-5
  )


@pytest.mark.parametrize(
  ('shape', 'wanted'),
  [
    ((8, 8, 3), r'are not \[N, H, W, 3\]'),
    ((1, 8, 8, 1), r'are not \[N, H, W, 3\]'),
    ((0, 8, 8, 3), 'N >= 1'),
    ((1, 1, 8, 3), '1 x 8 pixels: at least 2'),
  ],
)
def test_other_images_are_refused(shape, wanted):
  with pytest.raises(ValueError, match=wanted):
    made()(np.zeros(shape, np.uint8))


def test_a_bundle_holds_a_translator(tmp_path):
  ours, path = made(), tmp_path / 'a.safetensors'
  cj.save(path, ours)
  found = cj.load(path)
  assert isinstance(found, translator.Translator) and found.spec == SPEC
  images = RNG.integers(0, 256, (1, 8, 8, 3), np.uint8)
  np.testing.assert_array_equal(found(images), ours(images))
  assert bundle.inspect(path)['condition_shape'] == [8, 8, 3]


@pytest.mark.parametrize(
  ('changes', 'wanted'),
  [
    ({'condition_shape': [8, 8]}, 'both are'),
    ({'condition_shape': [8, 8, 65]}, 'in_channels 65'),
    ({'condition_shape': [8, 8, 4]}, 'its network has'),
    ({'condition_shape': None}, 'sizes'),
    ({'latent_size': 4}, 'latent_size 4 of a translator'),
    ({'latent_size': False}, 'latent_size False'),
    ({'network': 'dcgan'}, 'translator'),
    ({'options': {'width': 2, 'downs': 9}}, 'downs 9'),
    ({'options': {'width': 2, 'depth': 9}}, 'does not take'),
  ],
)
def test_untrusted_manifests_are_checked(tmp_path, changes, wanted):
  path = tmp_path / 'a.safetensors'
  cj.save(path, made())
  data = path.read_bytes()
  (length,) = struct.unpack('<Q', data[:8])
  header = json.loads(data[8 : 8 + length])
  manifest = json.loads(header['__metadata__']['coalesce_jax']) | changes
  header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  text = json.dumps(header).encode()
  path.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])
  with pytest.raises(cj.BundleError, match=wanted):
    cj.load(path)


def test_a_generator_has_latents_and_a_translator_none():
  with pytest.raises(ValueError, match='latent_size 0 is not in'):
    dataclasses.replace(SPEC, condition_shape=None)
  with pytest.raises(ValueError, match='latent_size 3 of a translator'):
    dataclasses.replace(SPEC, latent_size=3)

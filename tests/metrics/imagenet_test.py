"""Features of ImageNet: file, folding, shapes; values where the extra is."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import files
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features
from coalesce_jax.metrics import imagenet
from coalesce_jax.networks import efficientnet
from tests.core import torch_state_dict_test

EXTRA = importlib.util.find_spec(imagenet.MODULE)


@pytest.fixture(scope='module', name='arrays')
def _arrays():
  """A state dict of random values."""
  rng = np.random.default_rng(0)
  found = {}
  for name, leaf in imagenet.expected().items():
    scale = 1.0 / np.sqrt(max(1, np.prod(leaf.shape[1:])))
    values = scale * rng.normal(size=leaf.shape)
    if name.endswith('running_var'):
      values = 0.5 + np.abs(values)
    found[name] = np.asarray(values, leaf.dtype)
  return found


@pytest.fixture(name='fake')
def _fake(arrays, monkeypatch):
  params = imagenet.fold(arrays)
  monkeypatch.setattr(imagenet, '_params', lambda: params)
  return params


def test_folded_layers_are_convolutions_and_normalisations(arrays):
  params = imagenet.fold(arrays)
  x = jax.random.normal(jax.random.key(0), (2, 5, 5, 6 * 24))
  leaf = params['block_02']['depthwise']
  got = efficientnet.depthwise(x, leaf['kernel'], 1)
  got += leaf['bias'][None, None, None]
  norm = {
    name: jnp.asarray(arrays[f'_blocks.2._bn1.{name}'])[None, None, None]
    for name in ('weight', 'bias', 'running_mean', 'running_var')
  }
  # The state dict has kernels [F, C, k, k].
  y = jax.lax.conv_general_dilated(
    x,
    arrays['_blocks.2._depthwise_conv.weight'],
    (1, 1),
    'SAME',
    dimension_numbers=('NHWC', 'OIHW', 'NHWC'),
    feature_group_count=x.shape[-1],
  )
  y = (y - norm['running_mean']) / jnp.sqrt(norm['running_var'] + 1e-3)
  np.testing.assert_allclose(got, y * norm['weight'] + norm['bias'], atol=1e-4)
  jax.tree.map(
    lambda leaf: np.testing.assert_array_equal(leaf.dtype, jnp.float32), params
  )


def test_a_negative_variance_is_refused(arrays):
  bad = -np.ones_like(arrays['_bn0.running_var'])
  with pytest.raises(ValueError, match='_bn0.running_var: negative'):
    imagenet.fold(arrays | {'_bn0.running_var': bad})


def test_only_the_known_file_is_read(arrays, tmp_path, monkeypatch):
  path = tmp_path / 'a.pth'
  data = torch_state_dict_test.written(arrays)
  path.write_bytes(data)
  with pytest.raises(ValueError, match='a.pth: not the expected file'):
    imagenet.read(path)
  monkeypatch.setattr(imagenet, 'BYTES', len(data))
  with pytest.raises(ValueError, match='not the expected file'):
    imagenet.read(path)
  monkeypatch.setattr(imagenet, 'SHA256', files.digest([data]))
  expected = imagenet.fold(arrays)
  jax.tree.map(np.testing.assert_array_equal, imagenet.read(path), expected)
  path.write_bytes(data + b'x')
  with pytest.raises(ValueError, match='not the expected file'):
    imagenet.read(path)


def test_a_missing_extra_says_what_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  monkeypatch.setattr(imagenet, '_params', imagenet.find)
  with pytest.raises(ValueError) as caught:
    feature_registry.named('imagenet', (32, 32, 3))
  assert str(caught.value).endswith("pip install 'coalesce_jax[imagenet]'")
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('shape', 'message'),
  [
    ((28, 28, 1), r'\[H, W, 3\]'),
    ((32, 32), r'\[H, W, 3\]'),
    ((0, 32, 3), r'\[H, W, 3\]'),
    ((32, 65, 3), 'about square'),
  ],
)
def test_other_images_are_refused(shape, message):
  with pytest.raises(ValueError, match=message):
    imagenet.load(shape)


def test_images_are_resized_and_scaled():
  levels = np.array([0, 127, 255], np.float32)
  x = jnp.full((1, 8, 12, 3), levels[None, None, None] / 127.5 - 1.0)
  y = imagenet.prepare(x)
  assert y.shape == (1, 96, 96, 3)
  np.testing.assert_allclose(
    y, np.full(y.shape, (levels - 127.0) / 128.0), atol=1e-6
  )
  # Shrinking averages: no pixel of a fine checkerboard is picked.
  board = jnp.float32(np.indices((384, 384)).sum(0) % 2 * 2 - 1)
  y = imagenet.prepare(jnp.tile(board[None, :, :, None], (1, 1, 1, 3)))
  np.testing.assert_allclose(y[:, 2:-2, 2:-2], 0.5 / 128.0, atol=1e-5)


def test_a_network_for_colour_images_is_found_by_name(fake):
  del fake
  network = feature_registry.named('imagenet', (8, 8, 3))
  assert (network.name, network.classes) == ('imagenet1280', 0)
  images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
  found, probabilities = features.extract(network, images, batch=2)
  assert found.shape == (3, 1280) and probabilities.shape == (3, 1000)
  np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)


@pytest.mark.slow
def test_colour_images_are_judged_without_class_frequencies(fake):
  del fake
  network = feature_registry.named('imagenet', (8, 8, 3))._replace(batch=12)
  images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
  real = evaluate.reference(network, images)
  scores = evaluate.evaluate(images, real)
  assert 'class_tv' not in scores
  assert scores['frechet'] == pytest.approx(0.0, abs=1e-6 * real.floor)
  assert evaluate.label(real, 24) == 'frechet_imagenet1280_n24'


@pytest.mark.skipif(not EXTRA, reason='the extra `imagenet` is not installed')
def test_values_are_those_of_the_model_in_pytorch():
  y, x, c = np.meshgrid(*map(np.arange, (96, 96, 3)), indexing='ij')
  levels = np.round(127.5 + 100.0 * np.sin(x / 7 + c) * np.cos(y / 11 - c))
  network = imagenet.load((96, 96, 3))
  found, probabilities = features.extract(network, levels[None].astype('u1'))
  # By efficientnet-lite-pytorch 0.1.0 with PyTorch 2.13.
  assert np.linalg.norm(found) == pytest.approx(28.310665, rel=1e-5)
  assert found[0, 1] == pytest.approx(0.21200484, rel=1e-4)
  assert probabilities.argmax() == 811
  logits = [0.9308587, 2.6646259, -0.3289281, -2.9375172, -2.9377337, 0.7392058]
  np.testing.assert_allclose(
    np.log(probabilities[0, 1:6] / probabilities[0, 0]),
    np.subtract(logits[1:], logits[0]),
    atol=1e-4,
  )

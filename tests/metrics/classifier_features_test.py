"""Small classifiers as feature networks: trained, stored, read, random."""

import hashlib
import threading

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.data import datasets
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import features
from coalesce_jax.networks import classifier
from coalesce_jax.training import loop
from tests import locked


def stripes(n=32):
  """Images of bright even or odd columns, which are the labels."""
  labels = np.arange(n, dtype=np.int32) % 2
  columns = (np.arange(8)[None] + labels[:, None]) % 2
  images = np.broadcast_to(columns[:, None, :, None], (n, 8, 8, 1))
  noise = np.random.default_rng(0).integers(0, 56, images.shape)
  return (200 * images + noise).astype(np.uint8), labels


def accuracy(network, images, labels):
  _, probabilities = features.extract(network, images)
  return np.mean(probabilities.argmax(1) == labels)


def drawn(classes=3, width=2, shape=(8, 8, 1)):
  """A network of numbers that float16 holds, without training."""
  network = classifier.make(shape, classes, width=width)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.integers(-9, 9, leaf.shape).astype(np.float32) / 64,
    jax.eval_shape(network.init, jax.random.key(0)),
  )
  return features.Features('name', network.apply, params, shape, classes, 0.5)


def fit(**settings):
  images, labels = stripes()
  return classifier_features.fit(
    images, labels, name='stripes', epochs=50, width=2, batch=16,
    learning_rate=2e-2, **settings,
  )  # fmt: skip


def test_images_in_another_range_are_refused():
  images, labels = stripes()
  with pytest.raises(ValueError, match='images: .*uint8'):
    classifier_features.fit(images * 1000.0, labels, name='stripes')


@pytest.fixture(scope='module', name='plain')
def _plain():
  shown = []
  hooks = loop.Hooks(progress=lambda *at: shown.append(at))
  made = fit(hooks=hooks)
  # 32 images, 50 times, 16 a step.
  assert shown[-1] == (100, 100)
  return made


def test_a_classifier_learns_its_labels(plain):
  assert (plain.name, plain.classes) == ('stripes', 2)
  assert plain.image_shape == (8, 8, 1) and np.isnan(plain.accuracy)
  assert accuracy(plain, *stripes()) > 0.95


def test_a_classifier_does_not_learn_what_mirror_images_lack():
  # Of an even number of columns each class is the mirror image of the other.
  assert accuracy(fit(flip=True), *stripes()) < 0.8


def test_translations_and_seeds_change_what_is_learned(plain):
  for settings in ({'shift': True}, {'seed': 1}):
    other = fit(**settings)
    gap = np.abs(
      other.params['conv_0']['kernel'] - plain.params['conv_0']['kernel']
    )
    assert gap.max() > 0.01


@pytest.mark.parametrize('name', ['a.npz', 'folder/b.npz'])
def test_what_is_written_is_read(tmp_path, name):
  made = drawn()
  classifier_features.write(tmp_path / name, made)
  back = classifier_features.read(tmp_path / name, 'other')
  assert back.name == 'other' and back.image_shape == (8, 8, 1)
  assert (back.classes, back.accuracy, back.batch) == (3, 0.5, 1000)
  ours, theirs = (trees.flatten(net.params) for net in (made, back))
  assert ours.keys() == theirs.keys()
  for key, leaf in ours.items():
    np.testing.assert_array_equal(theirs[key], leaf)
    assert theirs[key].dtype == np.float32
  images, _ = stripes(4)
  np.testing.assert_allclose(
    features.extract(back, images)[0], features.extract(made, images)[0]
  )
  # Half of the bytes of float32, before compression.
  with np.load(tmp_path / name) as stored:
    assert stored['logits/kernel'].dtype == np.float16


def test_pickled_arrays_are_not_read(tmp_path):
  np.savez(tmp_path / 'a.npz', meta=np.array([{}], object))
  with pytest.raises(ValueError, match='damaged .*allow_pickle'):
    classifier_features.read(tmp_path / 'a.npz', 'name')


def test_a_network_is_kept_for_its_images_and_labels(tmp_path):
  images, labels = stripes(6)
  total = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
  path = tmp_path / f'features-{total[:16]}.npz'
  classifier_features.write(path, drawn())
  found = classifier_features.cached(images, labels, tmp_path)
  assert found.name == f'own64-{total[:8]}' and found.classes == 3


DAMAGE = {
  'empty': lambda data: b'',
  'truncated': lambda data: data[: len(data) // 2],
  'flipped': lambda data: data[:400] + bytes([data[400] ^ 1]) + data[401:],
  'not one': lambda data: b'x' * 100,
}


@pytest.mark.parametrize('damage', list(DAMAGE))
def test_a_damaged_network_is_refused_in_one_line(tmp_path, damage):
  path = tmp_path / 'a.npz'
  classifier_features.write(path, drawn())
  path.write_bytes(DAMAGE[damage](path.read_bytes()))
  with pytest.raises(ValueError) as caught:
    classifier_features.read(path, 'name')
  text = str(caught.value)
  assert text.startswith(f'{path}: damaged (') and '\n' not in text


def test_arrays_of_another_network_are_refused(tmp_path):
  made = drawn()
  flat = trees.flatten(made.params)
  for change in ('less', 'more', 'other'):
    arrays = dict(flat)
    if change == 'less':
      del arrays['logits/bias']
    else:
      name = 'logits/bias' if change == 'other' else 'more'
      arrays[name] = np.zeros(77)
    other = made._replace(params=trees.unflatten(arrays))
    classifier_features.write(tmp_path / 'a.npz', other)
    with pytest.raises(ValueError, match='not the arrays of a network'):
      classifier_features.read(tmp_path / 'a.npz', 'name')


def test_a_damaged_network_is_trained_again_once(tmp_path, monkeypatch):
  images, labels = stripes(6)
  total = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
  path = tmp_path / f'features-{total[:16]}.npz'
  path.write_bytes(b'PK')
  trained, hooks = [], loop.Hooks()

  def fit(images, labels, name, **settings):
    assert settings['hooks'] is hooks
    trained.append(name)
    return drawn()._replace(name=name)

  monkeypatch.setattr(classifier_features, 'fit', fit)
  for _ in range(2):
    found = classifier_features.cached(images, labels, tmp_path, hooks)
    assert found.name == f'own64-{total[:8]}'
  assert trained == [found.name]
  # A second process waits for the first and takes what it trained.
  path.unlink()
  first = locked.elsewhere(tmp_path / f'.{path.name}.lock')

  def finish():
    classifier_features.write(path, drawn())
    first.communicate()

  timer = threading.Timer(0.2, finish)
  timer.start()
  found = classifier_features.cached(images, labels, tmp_path)
  timer.join()
  assert len(trained) == 1 and found.classes == 3


@pytest.mark.slow
def test_a_network_for_own_labels_is_trained_once(tmp_path):
  data = datasets.load('digits', 'train')
  rows = data.labels < 2
  images, labels = data.images[rows], data.labels[rows]
  made = classifier_features.cached(images, labels, tmp_path)
  assert made.classes == 2
  assert accuracy(made, images, labels) > 0.95
  (path,) = tmp_path.iterdir()
  before = path.stat().st_mtime_ns
  again = classifier_features.cached(images, labels, tmp_path)
  assert again.name == made.name and path.stat().st_mtime_ns == before


@pytest.mark.parametrize('labels', [None, np.ones(5, np.int32)])
def test_data_without_classes_get_random_features(tmp_path, labels):
  images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
  network = classifier_features.cached(images, labels, tmp_path)
  assert network.name == 'random64' and network.classes == 0
  assert network.image_shape == (8, 8, 1) and np.isnan(network.accuracy)
  found, _ = features.extract(network, images)
  assert found.shape == (5, 64) and found.std(0).max() > 0.1
  assert not list(tmp_path.iterdir())


def test_random_features_are_those_of_their_seed():
  images, _ = stripes(4)
  one, same, other = (
    features.extract(classifier_features.random((8, 8, 1), seed), images)[0]
    for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(one, same)
  assert np.abs(one - other).max() > 0.1

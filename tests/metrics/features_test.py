"""Feature networks: committed accuracy, sizes, own and random ones."""

import importlib.resources
import pathlib

import numpy as np
import pytest

from coalesce_jax.data import datasets
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features
from experiments.features import train

LEAST = {
  'digits': 0.95, 'mnist': 0.98, 'fashion_mnist': 0.88, 'cifar10': 0.70
}  # fmt: skip


def there(name):
  """Whether the data are on this machine; tests never fetch."""
  folder = datasets.cache_folder() / name
  files = datasets.PACKAGES[name].files if name in datasets.PACKAGES else ()
  return all((folder / f).is_file() for f in files)


@pytest.mark.parametrize('name', feature_registry.COMMITTED)
def test_committed_networks_classify_as_well_as_they_say(name):
  if not there(name):
    pytest.skip(f'{name} is not on this machine; `coalesce data` fetches it')
  network = feature_registry.load(name)
  accuracy = train.accuracy(network, datasets.load(name, 'test'))
  assert accuracy >= LEAST[name]
  assert accuracy == pytest.approx(network.accuracy, abs=2e-3)


@pytest.mark.parametrize('name', feature_registry.COMMITTED)
def test_committed_networks_are_small(name):
  folder = importlib.resources.files('coalesce_jax.metrics')
  size = pathlib.Path(str(folder / f'{name}.npz')).stat().st_size
  assert size <= 300_000
  assert feature_registry.load(name).accuracy >= LEAST[name]


def test_batches_do_not_change_features():
  network = feature_registry.load('digits')
  images = datasets.load('digits', 'test').images[:50]
  whole, p = features.extract(network, images)
  parts, _ = features.extract(network, images, batch=7)
  np.testing.assert_allclose(whole, parts, atol=1e-5)
  np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-5)
  floats = images.astype(np.float32) / 127.5 - 1.0
  np.testing.assert_allclose(
    features.extract(network, floats)[0], whole, atol=1e-4
  )


@pytest.mark.slow
def test_a_network_for_own_labels_is_trained_once(tmp_path, monkeypatch):
  data = datasets.load('digits', 'train')
  rows = data.labels < 2
  made = classifier_features.cached(
    data.images[rows], data.labels[rows], tmp_path
  )
  assert made.classes == 2
  _, p = features.extract(made, data.images[rows])
  assert np.mean(p.argmax(1) == data.labels[rows]) > 0.95
  monkeypatch.setattr(classifier_features, 'fit', None)
  again = classifier_features.cached(
    data.images[rows], data.labels[rows], tmp_path
  )
  assert again.name == made.name


def test_data_without_labels_get_random_features(tmp_path):
  images = np.zeros((5, 28, 28, 3), np.uint8)
  network = classifier_features.cached(images, None, tmp_path)
  assert network.name == 'random64' and network.classes == 0
  assert features.extract(network, images)[0].shape == (5, 64)
  assert not list(tmp_path.iterdir())


def test_bad_images_are_refused():
  network = feature_registry.load('digits')
  with pytest.raises(ValueError, match='features .* take'):
    features.extract(network, np.zeros((2, 28, 28, 1), np.uint8))
  with pytest.raises(ValueError, match='not all finite'):
    features.extract(network, np.full((2, 8, 8, 1), np.nan, np.float32))
  with pytest.raises(ValueError, match='not one of'):
    feature_registry.load('imagenet')

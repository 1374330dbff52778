"""Feature networks by name: committed ones do what they say."""

import importlib.resources
import pathlib

import pytest

from coalesce_jax.core import user_cache
from coalesce_jax.data import datasets
from coalesce_jax.metrics import feature_registry
from experiments.features import train

LEAST = {
  'digits': 0.95, 'mnist': 0.98, 'fashion_mnist': 0.88, 'cifar10': 0.70
}  # fmt: skip
SHAPES = {
  'digits': (8, 8, 1), 'mnist': (28, 28, 1), 'fashion_mnist': (28, 28, 1),
  'cifar10': (32, 32, 3),
}  # fmt: skip


def there(name):
  """Whether the data are on this machine; tests never fetch."""
  folder = user_cache.folder() / name
  files = datasets.PACKAGES[name].files if name in datasets.PACKAGES else ()
  return all((folder / f).is_file() for f in files)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[pytest.mark.slow] * (name == 'cifar10'))
    for name in feature_registry.COMMITTED
  ],
)
def test_committed_networks_classify_as_well_as_they_say(name):
  if not there(name):
    pytest.skip(f'{name} is not on this machine; `coalesce data` fetches it')
  network = feature_registry.load(name)
  accuracy = train.accuracy(network, datasets.load(name, 'test'))
  assert accuracy >= LEAST[name]
  assert accuracy == pytest.approx(network.accuracy, abs=2e-3)


@pytest.mark.parametrize('name', feature_registry.COMMITTED)
def test_committed_networks_are_small_and_carry_their_name(name):
  folder = importlib.resources.files('coalesce_jax.metrics')
  size = pathlib.Path(str(folder / f'{name}.npz')).stat().st_size
  assert size <= 300_000
  network = feature_registry.load(name)
  assert network.accuracy >= LEAST[name]
  assert network.name == f'{name}64' and network.classes == 10
  assert network.image_shape == SHAPES[name]


def test_a_committed_network_is_read_once_and_keeps_its_shape():
  network = feature_registry.load('digits')
  assert feature_registry.load('digits') is network
  assert feature_registry.named('digits', (28, 28, 1)) is network


def test_random_features_fit_the_images():
  network = feature_registry.named('random', (8, 8, 3))
  assert network.name == 'random64' and network.image_shape == (8, 8, 3)


def test_other_names_are_refused_with_those_that_there_are():
  assert feature_registry.NAMES == (
    'digits', 'mnist', 'fashion_mnist', 'cifar10', 'imagenet', 'random'
  )  # fmt: skip
  for name in ('inception', 'imagenet', 'random'):
    with pytest.raises(ValueError, match=f"'{name}' is not one of .*'digits'"):
      feature_registry.load(name)
  with pytest.raises(ValueError, match="'inception' are not one of .*'random'"):
    feature_registry.named('inception', (8, 8, 1))


def test_networks_refuse_images_that_they_do_not_take():
  with pytest.raises(ValueError, match=r'\[H, W, 3\]'):
    feature_registry.named('imagenet', (8, 8, 1))

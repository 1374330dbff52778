"""Images of nodes by the flags of pretrain and data."""

from absl import flags
import numpy as np
import pytest

from coalesce_jax.cli import node_data
from coalesce_jax.cli.definitions import training
from coalesce_jax.data import datasets


def parsed(*arguments):
  values = flags.FlagValues()
  training.image_shape(values)
  values(['any', *arguments])
  return values


def data(labels, **classes):
  images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
  return datasets.Dataset('own', images, np.array(labels), 'place', classes)


def test_flags_say_what_shape_is_wanted():
  wanted = node_data.wanted(parsed(), 'dcgan')
  assert wanted == (None, None, (8, 28, 32, 64))
  wanted = node_data.wanted(parsed('--image_size=8x9', '--channels=3'), 'mlp')
  assert wanted == ((8, 9), 3, ())
  with pytest.raises(ValueError, match="^--image_size: image size 'x'"):
    node_data.wanted(parsed('--image_size=x'), 'dcgan')


def test_nodes_get_the_images_of_their_classes():
  given = data([0, 1, 0, 2], ant=0, bee=1, cat=2)
  one, two = node_data.nodes(given, 'ant|bee,cat->ant', True)
  assert one.images.ravel().tolist() == [0, 2] and one.classes == 'ant'
  assert two.images.ravel().tolist() == [1, 3] and two.classes == 'bee,cat'
  (only,) = node_data.nodes(data([0, 1]), '0-1->0', False)
  assert only.classes == '0,1'


def test_names_that_would_not_fit_in_a_bundle_are_counted():
  names = {f'{"long" * 5}{k}': k for k in range(200)}
  (one,) = node_data.nodes(data(range(200), **names), '0-199->0', True)
  assert one.classes == '200 classes'


def test_without_labels_there_is_one_node_and_it_is_told(caplog):
  given = data([0, 0])._replace(labels=None)
  with caplog.at_level('INFO'):
    (one,) = node_data.nodes(given, 'overlapping', False)
  assert one.images is given.images and one.classes == 'all'
  assert caplog.messages == [
    'place has no labels: one node learns all 2 images'
  ]
  with pytest.raises(ValueError, match='^--split=0->1: place has no labels'):
    node_data.nodes(given, '0->1', True)


def test_classes_that_are_not_there_are_told():
  with pytest.raises(ValueError, match='^--split=0-2->0: no.*there are 0, 1$'):
    node_data.nodes(data([0, 1]), '0-2->0', False)
  with pytest.raises(ValueError, match=r"are a, b; name .*='a\|b->a,b'"):
    node_data.nodes(data([0, 1], a=0, b=1), '0-2->0', False)

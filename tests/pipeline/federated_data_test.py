"""Nodes of federated learning from configurations."""

import itertools

import numpy as np
import pytest

from coalesce_jax.data import datasets
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import federated_defaults


def load(**fields):
  config = federated_defaults.get_config()
  config.update(fields)
  federated_config.validate(config)
  return federated_data.load(config)


def rows(nodes):
  """Bytes of all images of nodes, by node."""
  images = np.asarray(nodes.images)
  return [
    {
      images[r].tobytes()
      for own, n in zip(each, counts, strict=True)
      for r in own[:n]
    }
    for each, counts in zip(
      np.asarray(nodes.rows), np.asarray(nodes.counts), strict=True
    )
  ]


def test_no_two_nodes_of_digits_have_an_image_in_common():
  problem = load()
  parts = [problem.train, problem.validation, problem.test]
  assert [part.counts.shape[0] for part in parts] == [14, 4, 6]
  every = [images for part in parts for images in rows(part)]
  assert all(a.isdisjoint(b) for a, b in itertools.combinations(every, 2))
  assert problem.classes == 3 and len(problem.topics) == 6
  # Labels are permuted: the same class has another number elsewhere.
  for part in parts:
    assert (np.sort(np.asarray(part.labels), 1) == np.arange(3)).all()


def test_held_out_classes_are_at_test_nodes_alone():
  problem = load(
    partition='held_out_classes', test_classes=4, validation_nodes=0
  )
  assert problem.validation is None
  data = datasets.load('digits', 'train')
  label = {
    image.tobytes(): k
    for image, k in zip(data.images, data.labels, strict=True)
  }
  classes = [
    {label[x] for node in rows(part) for x in node}
    for part in (problem.train, problem.test)
  ]
  assert len(classes[1]) == 4 and not classes[0] & classes[1]
  assert set().union(*problem.topics) == classes[1]


def test_labels_mean_the_same_at_all_nodes_if_they_are_not_permuted():
  problem = load(permute=False, classes=(2, 4), ways=4, nodes=20)
  assert problem.classes == 10
  counts = np.asarray(problem.train.counts)
  assert set((counts > 0).sum(1)) == {2, 3, 4}
  labels = np.asarray(problem.train.labels)[counts > 0]
  assert set(labels) == set(range(10))
  other = load(partition='dirichlet', permute=False, nodes=12, ways=6)
  assert other.classes == 10


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'partition': 'dirichlet'}, 'needs permute=False'),
    ({'partition': 'held_out_classes', 'test_classes': 10}, 'test_classes 10'),
    ({'data': 'nothing'}, "data set 'nothing' is not one of"),
    ({'classes': (3, 2)}, 'are not the fewest and the most'),
    ({'images': 5}, 'a task needs'),
  ],
)
def test_what_cannot_be_is_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    load(**fields)


def test_no_field_is_called_otherwise_than_its_setting():
  config = federated_defaults.get_config()
  made = federated_config.learning(config, rho=0.5)
  assert made.rho == 0.5 and made.schedule.steps == config.rounds
  for name in federated_defaults.META:
    if name != 'rho':
      assert getattr(made, name) == config.meta[name]
  quick = federated_defaults.get_config()
  federated_defaults.shorten(quick, 'quick')
  federated_config.validate(quick)
  with pytest.raises(ValueError, match="variant 'x'"):
    federated_defaults.shorten(quick, 'x')

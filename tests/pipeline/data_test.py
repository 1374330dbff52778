"""The data of one run: nodes, local samples, target, architecture."""

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.data import datasets
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.pipeline import defaults


def settings(**changes):
  return config_lib.override(defaults.get_config(), changes)


def test_nodes_have_their_classes_and_local_samples_all_of_the_target():
  config = settings(split='0-1|2-4->1-3', seeds=2, local_samples=12)
  problem = data.load(config)
  train = datasets.load('digits', 'train')
  for images, classes in zip(problem.nodes, ((0, 1), (2, 3, 4)), strict=True):
    assert len(images) == sum((train.labels == c).sum() for c in classes)
  assert sorted(set(problem.labels)) == [1, 2, 3]
  # Of each seed other samples, of the training images.
  assert problem.local.shape == (2, 12, 8, 8, 1)
  known = {image.tobytes() for image in problem.target}
  for local in problem.local:
    drawn = {image.tobytes() for image in local}
    assert len(drawn) == 12 and drawn <= known
  assert (problem.local[0] != problem.local[1]).any()
  again = data.load(settings(split='0-1|2-4->1-3', seed=1, local_samples=12))
  np.testing.assert_array_equal(again.local[0], problem.local[1])
  assert problem.spec.image_shape == (8, 8, 1)
  assert len(problem.reference.features) == len(problem.held_out)


@pytest.mark.parametrize(
  ('name', 'match'),
  [
    ('imagenet', r"'imagenet1280' take images \[H, W, 3\]"),
    ('imagenett', "'imagenett' are not one of"),
  ],
)
def test_features_that_the_images_cannot_have_are_refused(name, match):
  with pytest.raises(ValueError, match=match):
    data.load(settings(**{'evaluate.features': name}))


def test_images_without_labels_cannot_be_split(tmp_path):
  path = tmp_path / 'images.npy'
  np.save(path, np.zeros((20, 8, 8, 1), np.uint8))
  with pytest.raises(ValueError, match='there are no labels'):
    data.load(settings(dataset=str(path)))


def test_folders_of_mixed_sizes_are_split_by_the_names_of_classes(tmp_path):
  rng = np.random.default_rng(0)
  for k, name in enumerate(('cat', 'dog')):
    (tmp_path / name).mkdir()
    for i in range(20):
      pixels = rng.integers(0, 256, (9 + k, 8 + i % 2, 3), dtype=np.uint8)
      Image.fromarray(pixels).save(tmp_path / name / f'{i}.png')
  config = settings(
    dataset=str(tmp_path), split='cat|dog->dog', local_samples=8, seeds=1,
    **{'evaluate.features': 'random'},
  )  # fmt: skip
  config_lib.validate(config)
  problem = data.load(config)
  assert problem.split == (((0,), (1,)), (1,))
  assert [n.shape for n in problem.nodes] == [(16, 8, 8, 3)] * 2
  with pytest.raises(ValueError, match="'bird' is neither a class of 'cat'"):
    config_lib.validate(settings(dataset=str(tmp_path), split='bird->dog'))

"""The data of one run: node images, local samples, the measured target.

Shapes: K nodes, S seeds, N local samples.
"""

import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.core import user_cache
from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.data import shapes
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import feature_registry
from coalesce_jax.models import generator
from coalesce_jax.networks import registry
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.runs import progress


@dataclasses.dataclass(frozen=True)
class Problem:
  """The data of one run.

  Attributes:
    split: classes of nodes and target.
    nodes: K arrays of training images, uint8.
    local: `[S, N, H, W, C]`, uint8.
    target: training images of the target, uint8, and their classes.
    labels: `[M]`, of `target`.
    reference: the target's held-out split, measured.
    held_out: the images of that split, uint8.
    spec: architecture of all generators.
  """

  split: partition.Split
  nodes: list[np.ndarray]
  local: np.ndarray
  target: np.ndarray
  labels: np.ndarray
  reference: evaluate.Reference
  held_out: np.ndarray
  spec: generator.Spec

  def training_reference(self, rows: np.ndarray) -> evaluate.Reference:
    """Measures training images of the target like the held-out split.

    Args:
      rows: their positions in `target`.
    """
    return evaluate.reference(
      self.reference.network, self.target[rows], self.held_out
    )


def load(config: Any) -> Problem:
  """Loads images, splits them over nodes, draws local samples.

  Raises:
    ValueError: images without labels; features that the images cannot have.
  """
  wanted = shapes.Wanted(sides=registry.sides(config.network.name))
  train_set, test_set = datasets.both(
    config.dataset, config.data_dir or None, wanted
  )
  if train_set.labels is None:
    raise ValueError(
      f'{config.dataset}: nodes are split by class, and there are no labels'
    )
  labels = train_set.labels
  split = partition.parse(config.split, train_set.classes)
  nodes = [
    train_set.images[partition.indices(labels, classes)]
    for classes in split.nodes
  ]
  local = np.stack(
    [
      train_set.images[
        partition.few(
          config.seed + s, labels, split.target, config.local_samples
        )
      ]
      for s in range(config.seeds)
    ]
  )
  rows = partition.indices(labels, split.target)
  assert test_set.labels is not None
  held = test_set.images[partition.indices(test_set.labels, split.target)]
  name = config.evaluate.features or config.dataset
  if config.evaluate.features or name in feature_registry.COMMITTED:
    network = feature_registry.named(name, held.shape[1:])
  else:
    network = classifier_features.cached(
      train_set.images, train_set.labels, user_cache.folder(),
      progress.hooks('feature network'),
    )  # fmt: skip
  spec = config_lib.spec(config, held.shape[1:])
  target = train_set.images[rows]
  reference = evaluate.reference(network, held, target)
  return Problem(
    split, nodes, local, target, labels[rows], reference, held, spec
  )

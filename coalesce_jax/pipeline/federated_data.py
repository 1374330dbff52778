"""From the configuration of federated learning to the nodes of its data.

Shapes: M nodes, I images.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.data import omniglot
from coalesce_jax.data import tasks

PARTITIONS = ('alphabets', 'classes', 'dirichlet', 'held_out_classes')
PAIR = 'mnist_fashion'
_OMNIGLOT = 'omniglot'
# Classes of each of the two sets.
_EACH = 10


class Problem(NamedTuple):
  """Nodes of which no two have an image in common.

  Attributes:
    train: nodes for meta-training.
    validation: nodes for early stopping, or None.
    test: nodes for test.
    shape: sizes of the tasks.
    classes: outputs of the network.
    fixed: whether labels mean the same at all nodes.
    topics: what the data of each test node are about: its classes, or its
      alphabet and rotation.
  """

  train: tasks.Nodes
  validation: tasks.Nodes | None
  test: tasks.Nodes
  shape: tasks.Shape
  classes: int
  fixed: bool
  topics: list[frozenset[Any]]


class _Split(NamedTuple):
  """Images, the rows of each node by label, and nodes by their use."""

  images: np.ndarray
  owned: Sequence[tasks.Owned]
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray
  topics: list[frozenset[Any]]


def load(config: Any) -> Problem:
  """Loads the data and makes nodes of them.

  Args:
    config: a checked configuration, see `federated_config`.

  Raises:
    ValueError: the data are missing, or too few for these nodes; one line.
  """
  alphabets = config.partition == 'alphabets'
  shape = tasks.Shape(
    config.ways, config.shots, config.queries, relabelled=alphabets
  )
  if alphabets:
    split, classes = _alphabets(config), config.ways
  else:
    images, labels = _labelled(config)
    classes = config.ways if config.permute else int(labels.max()) + 1
    split = _partition(config, images, labels)
  permute = config.seed if config.permute and not alphabets else None

  def some(which: np.ndarray, offset: int) -> tasks.Nodes:
    owned = [split.owned[i] for i in which]
    images, owned = _only(split.images, owned)
    seed = None if permute is None else 3 * permute + offset
    return tasks.nodes(images, owned, shape, permute=seed)

  return Problem(
    some(split.train, 0),
    some(split.validation, 1) if len(split.validation) else None,
    some(split.test, 2), shape, classes, not (alphabets or config.permute),
    [split.topics[i] for i in split.test],
  )  # fmt: skip


def _alphabets(config: Any) -> _Split:
  data = omniglot.characters(omniglot.find(config.data_dir or None))
  every = (*omniglot.TRAIN, *omniglot.TEST)
  images, owned, names = omniglot.nodes(data, every)
  test = np.array([name in omniglot.TEST for name, _, _ in names])
  rest = np.flatnonzero(~test)
  train, held, _ = tasks.split(
    len(rest), config.validation_nodes, 0, config.seed
  )
  topics = [frozenset([(name, turn)]) for name, _, turn in names]
  return _Split(
    images, owned, rest[train], rest[held], np.flatnonzero(test), topics
  )


def _labelled(config: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns images `[I, H, W, C]` and labels `[I]`, few of each class."""
  data_dir = config.data_dir or None
  names = ('mnist', 'fashion_mnist') if config.data == PAIR else (config.data,)
  images, labels = [], []
  for k, name in enumerate(names):
    data = datasets.load(name, 'train', data_dir)
    if data.labels is None:
      raise ValueError(
        f'{name}: there are no labels; give it one sub-folder a class'
      )
    rows = np.arange(len(data.labels))
    if config.images:
      rng = np.random.default_rng((config.seed, k))
      rows = np.sort(np.concatenate([
        rng.permutation(np.flatnonzero(data.labels == c))[: config.images]
        for c in np.unique(data.labels)
      ]))  # fmt: skip
    images.append(data.images[rows])
    labels.append(data.labels[rows] + k * _EACH)
  return np.concatenate(images), np.concatenate(labels)


def _partition(config: Any, images: np.ndarray, labels: np.ndarray) -> _Split:
  low, high = config.classes
  if config.partition == 'held_out_classes':
    return _held_out(config, images, labels)
  if config.partition == 'dirichlet':
    owned = tasks.dirichlet(
      labels, config.nodes, config.concentration, config.seed
    )
    # A node with too few images of every class cannot have a task.
    need = config.shots + config.queries
    owned = [o for o in owned if any(len(rows) >= need for rows in o.values())]
  else:
    owned = tasks.class_subsets(labels, config.nodes, (low, high), config.seed)
  parts = tasks.split(
    len(owned), config.validation_nodes, config.test_nodes, config.seed
  )
  return _Split(images, owned, *parts, _topics(owned))


def _held_out(config: Any, images: np.ndarray, labels: np.ndarray) -> _Split:
  """Gives nodes for test classes that no other node has."""
  every = np.unique(labels)
  if not 0 < config.test_classes < len(every):
    raise ValueError(
      f'test_classes {config.test_classes} of {len(every)} classes'
    )
  order = np.random.default_rng(config.seed).permutation(every)
  last = np.isin(labels, order[: config.test_classes])
  owned: list[tasks.Owned] = []
  count = config.nodes - config.test_nodes
  for rows, nodes in ((~last, count), (last, config.test_nodes)):
    where = np.flatnonzero(rows)
    found = tasks.class_subsets(
      labels[where], nodes, tuple(config.classes), config.seed
    )
    owned += [{k: where[r] for k, r in each.items()} for each in found]
  train, held, _ = tasks.split(count, config.validation_nodes, 0, config.seed)
  test = np.arange(count, config.nodes)
  return _Split(images, owned, train, held, test, _topics(owned))


def _topics(owned: Sequence[tasks.Owned]) -> list[frozenset[Any]]:
  return [frozenset(each) for each in owned]


def _only(
  images: np.ndarray, owned: list[tasks.Owned]
) -> tuple[np.ndarray, list[tasks.Owned]]:
  """Returns the images that nodes own, and their rows among them."""
  parts = [rows for each in owned for rows in each.values()]
  used = np.unique(np.concatenate(parts))
  moved: list[tasks.Owned] = [
    {k: np.searchsorted(used, rows) for k, rows in each.items()}
    for each in owned
  ]
  return images[used], moved

"""Draws N-way K-shot tasks from nodes, and splits data over nodes.

A node owns some classes and some images of each. A task has N of its classes,
K images of each to adapt with (the support) and Q others to evaluate on (the
query). The K + Q images of a class are drawn without replacement.

Shapes: M nodes, C classes of a node, P images of a class, N ways, K shots,
Q queries, I images, H, W, D image.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types

# Rows of the images of each class that a node owns, by label.
Owned = Mapping[int, np.ndarray]


class Shape(NamedTuple):
  """The sizes of a task.

  Attributes:
    ways: N.
    shots: K.
    queries: Q.
    relabelled: whether the classes of a task are numbered in the order of their
      draw. Otherwise they have the labels of their node.
  """

  ways: int
  shots: int
  queries: int
  relabelled: bool = True


class Nodes(NamedTuple):
  """The images of nodes. Rows of classes are padded to the same sizes.

  Attributes:
    images: uint8 `[I, H, W, D]`.
    rows: rows of the images of each class, int32 `[M, C, P]`.
    counts: number of them, int32 `[M, C]`; 0 for padding.
    labels: label of each class, int32 `[M, C]`.
    samples: number of images of each node, float32 `[M]`.
  """

  images: jax.Array
  rows: jax.Array
  counts: jax.Array
  labels: jax.Array
  samples: jax.Array


class Batch(NamedTuple):
  """Labelled images.

  Attributes:
    images: uint8 `[n, H, W, D]`.
    labels: int32 `[n]`.
    weights: 1, or 0 for images that fill an unused way, float32 `[n]`.
  """

  images: jax.Array
  labels: jax.Array
  weights: jax.Array


class Task(NamedTuple):
  """A task: adapt with the support, then classify the query."""

  support: Batch
  query: Batch


def nodes(
  images: np.ndarray,
  owned: Sequence[Owned],
  shape: Shape,
  *,
  permute: int | None = None,
) -> Nodes:
  """Makes nodes. A class with too few images for a task is left out.

  Args:
    images: uint8 `[I, H, W, D]`.
    owned: rows of the images of each class, by label, of M nodes.
    shape: sizes of the tasks.
    permute: seed of a permutation of labels for each node, which numbers its
      classes from 0; None keeps the labels.

  Raises:
    ValueError: there is no node, or one has no class with K + Q images, or
      fewer than N of them where tasks are relabelled.
  """
  need = shape.shots + shape.queries
  kept = [
    {k: np.asarray(rows) for k, rows in each.items() if len(rows) >= need}
    for each in owned
  ]
  if not kept:
    raise ValueError('there are no nodes')
  least = shape.ways if shape.relabelled else 1
  for i, each in enumerate(kept):
    if len(each) < least:
      raise ValueError(
        f'node {i} has {len(each)} classes of at least {need} images, a task '
        f'needs {least}; ask for fewer shots, queries or ways'
      )
  classes = max(shape.ways, *(len(each) for each in kept))
  most = max(len(rows) for each in kept for rows in each.values())
  rows = np.zeros((len(kept), classes, most), np.int32)
  counts = np.zeros((len(kept), classes), np.int32)
  labels = np.zeros((len(kept), classes), np.int32)
  for i, each in enumerate(kept):
    for j, (label, some) in enumerate(sorted(each.items())):
      rows[i, j, : len(some)], counts[i, j] = some, len(some)
      labels[i, j] = label
    if permute is not None:
      order = np.random.default_rng((permute, i)).permutation(len(each))
      labels[i, : len(each)] = order
  return Nodes(
    jnp.asarray(images), jnp.asarray(rows), jnp.asarray(counts),
    jnp.asarray(labels), jnp.asarray(counts.sum(1), jnp.float32),
  )  # fmt: skip


def draw(
  data: Nodes, node: jax.Array, key: types.PRNGKey, shape: Shape
) -> Task:
  """Draws a task of a node; pure, for `jax.vmap`.

  Args:
    data: the nodes.
    node: index of the node, int32 `[]`.
    key: consumed.
    shape: sizes of the task.

  Returns:
    A task. Its examples are sorted by class; those of a node with fewer than N
    classes end in examples of weight 0.
  """
  key_class, key_image = jax.random.split(key)
  counts = data.counts[node]
  late = jax.random.uniform(key_class, counts.shape) + (counts == 0)
  chosen = jnp.argsort(late)[: shape.ways]  # (C) -> (N)
  held = counts[chosen]
  order = jax.random.uniform(key_image, (shape.ways, data.rows.shape[-1]))
  order = order + (jnp.arange(data.rows.shape[-1])[None] >= held[:, None])
  picks = jnp.argsort(order, -1)[:, : shape.shots + shape.queries]
  rows = jnp.take_along_axis(data.rows[node][chosen], picks, 1)
  labels = jnp.arange(shape.ways, dtype=jnp.int32)
  if not shape.relabelled:
    labels = data.labels[node][chosen]

  def batch(some: jax.Array) -> Batch:
    each = some.shape[1]
    return Batch(
      data.images[some.reshape(-1)],
      jnp.repeat(labels, each),
      jnp.repeat((held > 0).astype(jnp.float32), each),
    )

  return Task(batch(rows[:, : shape.shots]), batch(rows[:, shape.shots :]))


def by_class(labels: np.ndarray, rows: np.ndarray | None = None) -> Owned:
  """Returns the rows of each class.

  Args:
    labels: `[I]`.
    rows: the rows to sort; None is all.
  """
  rows = np.arange(len(labels)) if rows is None else rows
  return {int(k): rows[labels[rows] == k] for k in np.unique(labels[rows])}


def split(
  count: int, validation: int, test: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Splits nodes for meta-training, meta-validation and meta-test.

  Args:
    count: M.
    validation: number of nodes for validation.
    test: number of nodes for test.
    seed: seed of the split.

  Returns:
    Three sorted arrays of indices, which have none in common.

  Raises:
    ValueError: no node is left for training, or a number is negative.
  """
  if min(validation, test) < 0 or validation + test >= count:
    raise ValueError(
      f'{validation} nodes for validation and {test} for test of {count} leave '
      'none for training'
    )
  order = np.random.default_rng(seed).permutation(count)
  ends = [count - validation - test, count - test]
  train, held, last = np.split(order, ends)
  return np.sort(train), np.sort(held), np.sort(last)


def class_subsets(
  labels: np.ndarray, count: int, classes: tuple[int, int], seed: int
) -> list[Owned]:
  """Gives each node some classes, and deals their images out evenly.

  Args:
    labels: `[I]`.
    count: M.
    classes: fewest and most classes of a node; the number is drawn uniformly.
    seed: seed of the partition.

  Returns:
    The rows of each node by label. No image is at two nodes. A class without an
    owner has no images at any node.

  Raises:
    ValueError: there are too few classes, or nodes.
  """
  rng, every = np.random.default_rng(seed), np.unique(labels)
  low, high = classes
  if count < 1 or not 1 <= low <= high <= len(every):
    raise ValueError(
      f'{count} nodes of {low} to {high} classes of {len(every)} are impossible'
    )
  wanted = [
    rng.choice(every, rng.integers(low, high + 1), replace=False)
    for _ in range(count)
  ]
  found: list[dict[int, np.ndarray]] = [{} for _ in range(count)]
  for k in every:
    owners = [i for i, mine in enumerate(wanted) if k in mine]
    rows = rng.permutation(np.flatnonzero(labels == k))
    for i, part in zip(
      owners, np.array_split(rows, max(len(owners), 1)), strict=False
    ):
      found[i][int(k)] = np.sort(part)
  return list(found)


def dirichlet(
  labels: np.ndarray, count: int, concentration: float, seed: int
) -> list[Owned]:
  """Divides each class over nodes in shares of a Dirichlet distribution.

  As in Hsu et al., https://arxiv.org/abs/1909.06335, class by class.

  Args:
    labels: `[I]`.
    count: M.
    concentration: parameter of the symmetric distribution; small values give
      most images of a class to few nodes.
    seed: seed of the partition.

  Returns:
    The rows of each node by label. Every image is at one node.

  Raises:
    ValueError: there is no node, or the concentration is not positive.
  """
  if count < 1 or not concentration > 0.0:
    raise ValueError(f'{count} nodes with concentration {concentration}')
  rng = np.random.default_rng(seed)
  found: list[dict[int, np.ndarray]] = [{} for _ in range(count)]
  for k in np.unique(labels):
    rows = rng.permutation(np.flatnonzero(labels == k))
    shares = rng.dirichlet(np.full(count, concentration))
    ends = np.floor(np.cumsum(shares)[:-1] * len(rows)).astype(int)
    for i, part in enumerate(np.split(rows, ends)):
      if len(part):
        found[i][int(k)] = np.sort(part)
  return list(found)

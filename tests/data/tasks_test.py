"""Tasks of nodes, and partitions of data over nodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.data import tasks

LABELS = np.repeat(np.arange(6), 20)


def images():
  """Images whose only pixel is the number of the row."""
  return np.arange(120, dtype=np.uint8)[:, None, None, None]


def owned():
  """Two nodes: one with four classes, one with two and one too small."""
  first = {k: np.flatnonzero(LABELS == k)[:7] for k in (0, 1, 2, 3)}
  other = {k: np.flatnonzero(LABELS == k)[7:13] for k in (2, 5)}
  return [first, {**other, 4: np.array([80, 81])}]


def drawn(nodes, shape, node, count=40):
  keys = jax.random.split(jax.random.key(0), count)
  return jax.jit(jax.vmap(lambda k: tasks.draw(nodes, node, k, shape)))(keys)


def test_a_task_has_ways_shots_and_queries_of_its_node():
  shape = tasks.Shape(3, 2, 4)
  nodes = tasks.nodes(images(), owned()[:1], shape)
  found = drawn(nodes, shape, jnp.int32(0))
  support, query = (np.asarray(b.images)[..., 0, 0, 0] for b in found)
  assert support.shape == (40, 6) and query.shape == (40, 12)
  orders = set()
  for s, q in zip(support, query, strict=True):
    mine = np.concatenate([s.reshape(3, 2), q.reshape(3, 4)], 1)
    # Each row is of one class, no image occurs twice, all are of the node.
    assert (LABELS[mine] == LABELS[mine[:, :1]]).all()
    assert len(set(mine.ravel())) == 18
    assert np.isin(mine, np.concatenate(list(owned()[0].values()))).all()
    orders.add(tuple(LABELS[mine[:, 0]]))
  assert len(orders) > 12
  np.testing.assert_array_equal(found.support.labels[0], [0, 0, 1, 1, 2, 2])
  np.testing.assert_array_equal(found.query.weights, np.ones((40, 12)))


def test_a_node_keeps_its_labels_and_fills_unused_ways_with_weight_0():
  shape = tasks.Shape(3, 2, 4, relabelled=False)
  nodes = tasks.nodes(images(), owned(), shape)
  np.testing.assert_array_equal(nodes.samples, [28, 12])
  found = drawn(nodes, shape, jnp.int32(1))
  pixels = np.asarray(found.query.images)[..., 0, 0, 0]
  weights = np.asarray(found.query.weights)
  np.testing.assert_array_equal(weights.sum(1), np.full(40, 8))
  for row, label, weight in zip(
    pixels, np.asarray(found.query.labels), weights, strict=True
  ):
    np.testing.assert_array_equal(LABELS[row][weight > 0], label[weight > 0])
    assert set(label[weight > 0]) == {2, 5}


def test_labels_are_permuted_once_for_each_node():
  shape = tasks.Shape(4, 1, 1, relabelled=False)
  mine = [owned()[0]] * 12
  nodes = tasks.nodes(images(), mine, shape, permute=3)
  again = tasks.nodes(images(), mine, shape, permute=3)
  np.testing.assert_array_equal(nodes.labels, again.labels)
  assert len({tuple(row) for row in np.asarray(nodes.labels)}) > 5
  for row in np.asarray(nodes.labels):
    assert sorted(row) == [0, 1, 2, 3]


def test_nodes_that_cannot_have_a_task_are_refused():
  with pytest.raises(ValueError, match='no nodes'):
    tasks.nodes(images(), [], tasks.Shape(2, 1, 1))
  with pytest.raises(ValueError, match='node 1 has 2 classes of at least 6'):
    tasks.nodes(images(), owned(), tasks.Shape(3, 2, 4))
  with pytest.raises(ValueError, match='node 0 has 0 classes of at least 20'):
    tasks.nodes(images(), owned(), tasks.Shape(3, 10, 10, False))


def test_splits_of_nodes_have_none_in_common():
  parts = tasks.split(20, 3, 5, 0)
  assert [len(p) for p in parts] == [12, 3, 5]
  assert sorted(np.concatenate(parts)) == list(range(20))
  other = tasks.split(20, 3, 5, 1)
  assert list(parts[0]) != list(other[0])
  with pytest.raises(ValueError, match='leave none for training'):
    tasks.split(8, 3, 5, 0)


def test_nodes_get_numbers_of_classes_within_bounds_and_no_image_twice():
  found = tasks.class_subsets(LABELS, 12, (2, 4), 0)
  counts = {len(each) for each in found}
  assert counts == {2, 3, 4}
  rows = np.concatenate([r for each in found for r in each.values()])
  assert len(set(rows)) == len(rows) == 120
  sizes = {}
  for each in found:
    for k, r in each.items():
      assert set(LABELS[r]) == {k}
      sizes.setdefault(k, []).append(len(r))
  assert all(max(s) - min(s) <= 1 for s in sizes.values())
  with pytest.raises(ValueError, match='3 to 7 classes of 6'):
    tasks.class_subsets(LABELS, 4, (3, 7), 0)


def test_dirichlet_shares_give_every_image_to_one_node():
  spread = {}
  for concentration in (0.05, 100.0):
    found = tasks.dirichlet(LABELS, 4, concentration, 0)
    rows = np.concatenate([r for each in found for r in each.values()])
    assert sorted(rows) == list(range(120))
    largest = [
      max(len(each.get(k, ())) for each in found) / 20 for k in range(6)
    ]
    spread[concentration] = np.mean(largest)
  assert spread[0.05] > 0.7 and spread[100.0] < 0.4
  with pytest.raises(ValueError, match='concentration 0'):
    tasks.dirichlet(LABELS, 4, 0.0, 0)

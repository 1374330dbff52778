"""Names, patterns, ensembles and sizes of parameter trees."""

import flax.traverse_util
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.core import trees

TREE = {
  'Dense_0': {'kernel': jnp.ones((2, 3)), 'bias': jnp.zeros(3)},
  'Dense_1': {'kernel': jnp.full((3, 1), 2.0)},
}
PARTS = st.text('ab_0', min_size=1, max_size=3)
# Nested dicts without empty ones, which have no leaf to be named by.
NESTED = st.recursive(
  st.integers(0, 9),
  lambda children: st.dictionaries(PARTS, children, min_size=1, max_size=3),
  max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def test_a_leaf_is_named_by_its_path():
  assert list(trees.flatten(TREE)) == [
    'Dense_0/bias',
    'Dense_0/kernel',
    'Dense_1/kernel',
  ]


def test_sequences_are_named_by_their_indices():
  assert trees.flatten({'a': [1, (2, 3)]}) == {'a/0': 1, 'a/1/0': 2, 'a/1/1': 3}


@hypothesis.given(NESTED)
def test_flatten_agrees_with_flax_and_with_the_order_of_jax(tree):
  ours = trees.flatten(tree)
  assert ours == flax.traverse_util.flatten_dict(tree, sep='/')
  assert list(ours.values()) == jax.tree.leaves(tree)


@hypothesis.given(NESTED)
def test_unflatten_inverts_flatten(tree):
  assert trees.unflatten(trees.flatten(tree)) == tree


@pytest.mark.parametrize(
  ('leaves', 'message'),
  [
    ({'a': 1, 'a/b': 2}, "'a' is a leaf already"),
    ({'a/b': 2, 'a': 1}, "'a' occurs twice"),
  ],
)
def test_a_name_that_is_also_a_prefix_is_an_error(leaves, message):
  with pytest.raises(ValueError, match=message):
    trees.unflatten(leaves)


def test_map_named_sees_name_and_leaf():
  named = trees.map_named(lambda name, leaf: (name, leaf.shape), TREE)
  assert named['Dense_0']['bias'] == ('Dense_0/bias', (3,))
  assert named['Dense_1']['kernel'] == ('Dense_1/kernel', (3, 1))


def test_the_first_matching_pattern_labels_the_leaf():
  rules = [('Dense_1/.*', 'last'), ('.*kernel', 'weight'), ('.*', 'other')]
  assert trees.label(TREE, rules) == {
    'Dense_0': {'kernel': 'weight', 'bias': 'other'},
    'Dense_1': {'kernel': 'last'},
  }


def test_a_pattern_must_match_the_whole_name():
  with pytest.raises(ValueError, match='kernel'):
    trees.label(TREE, [('kernel', 'weight')], default='other')


def test_the_default_labels_what_no_pattern_matches():
  labels = trees.label(TREE, [('.*bias', 'bias')], default='other')
  assert jax.tree.leaves(labels) == ['bias', 'other', 'other']


def test_a_pattern_shadowed_by_an_earlier_one_is_not_an_error():
  labels = trees.label(TREE, [('.*', 'all'), ('.*bias', 'bias')])
  assert set(jax.tree.leaves(labels)) == {'all'}


def test_a_pattern_without_a_leaf_is_an_error():
  with pytest.raises(ValueError, match=r'Dense_9.*match none of'):
    trees.label(TREE, [('.*', 'all'), ('Dense_9/.*', 'typo')])


def test_a_leaf_without_a_pattern_is_an_error():
  with pytest.raises(ValueError, match="matches leaf 'Dense_0/bias'"):
    trees.label(TREE, [('.*kernel', 'weight')])


def test_labels_freeze_leaves_in_optax():
  labels = trees.label(TREE, [('.*bias', 'off')], default='on')
  optimizer = optax.partition(
    {'on': optax.sgd(1.0), 'off': optax.set_to_zero()}, labels
  )
  grads = jax.tree.map(jnp.ones_like, TREE)
  updates, _ = optimizer.update(grads, optimizer.init(TREE))
  assert not updates['Dense_0']['bias'].any()
  np.testing.assert_array_equal(updates['Dense_1']['kernel'], -np.ones((3, 1)))


def test_unstack_inverts_stack():
  members = [jax.tree.map(lambda leaf, i=i: leaf + i, TREE) for i in range(3)]
  stacked = trees.stack(members)
  assert stacked['Dense_0']['kernel'].shape == (3, 2, 3)
  jax.tree.map(np.testing.assert_array_equal, trees.unstack(stacked), members)
  jax.tree.map(
    np.testing.assert_array_equal, trees.member(stacked, 2), members[2]
  )


def test_vmap_over_a_stack_equals_a_loop_over_its_members():
  def apply(tree, x):
    return x @ tree['Dense_0']['kernel'] + tree['Dense_0']['bias'][None]

  x = jnp.arange(8.0).reshape(4, 2)
  members = [jax.tree.map(lambda leaf, i=i: leaf * i, TREE) for i in range(3)]
  together = jax.vmap(apply, (0, None))(trees.stack(members), x)
  alone = jnp.stack([apply(member, x) for member in members])
  np.testing.assert_array_equal(together, alone)


def test_members_of_other_shapes_do_not_stack():
  with pytest.raises(ValueError, match='shape'):
    trees.stack([{'a': jnp.ones(2)}, {'a': jnp.ones(3)}])


def test_count_is_the_number_of_scalars():
  assert trees.count(TREE) == 6 + 3 + 3


def test_size_counts_each_leaf_at_its_dtype():
  tree = {'a': np.zeros(5, np.float32), 'b': np.zeros((2, 2), np.uint8)}
  assert trees.size_bits(tree) == 5 * 32 + 4 * 8
  assert trees.size_bits(tree) == 8 * sum(leaf.nbytes for leaf in tree.values())


def test_named_leaves_count_at_their_own_bits():
  assert trees.size_bits(TREE, {'Dense_0/kernel': 2}) == 6 * 2 + (3 + 3) * 32

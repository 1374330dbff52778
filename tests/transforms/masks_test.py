"""Frozen leaves: not trained, not averaged, without optimizer state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.transforms import masks

KEY = jax.random.key(0)
PARAMS = {'a': {'kernel': jnp.ones(3), 'bias': jnp.zeros(2)}, 'b': jnp.ones(4)}


def test_the_network_gets_all_leaves_and_the_optimizer_those_that_learn():
  reparam = masks.freeze(('a/.*',))
  latent, frozen = reparam.init(KEY, PARAMS)
  assert [x.shape for x in jax.tree.leaves(latent)] == [(4,)]
  assert [x.shape for x in jax.tree.leaves(frozen)] == [(2,), (3,)]
  moments = jax.tree.leaves(optax.adam(0.1).init(latent))
  assert sorted(x.size for x in moments) == [1, 4, 4]
  moved = reparam.apply(jax.tree.map(lambda x: x + 1.0, latent), frozen)
  np.testing.assert_array_equal(moved['b'], 2.0 * np.ones(4))
  np.testing.assert_array_equal(moved['a']['kernel'], np.ones(3))
  assert jax.tree.structure(moved) == jax.tree.structure(PARAMS)


def test_a_leaf_is_frozen_by_its_whole_name():
  _, frozen = masks.freeze(('a/k.*',)).init(KEY, PARAMS)
  assert [x.shape for x in jax.tree.leaves(frozen)] == [(3,)]
  with pytest.raises(ValueError, match='match none'):
    masks.freeze(('kernel',)).init(KEY, PARAMS)


def test_without_patterns_nothing_is_frozen():
  latent, frozen = masks.freeze(()).init(KEY, PARAMS)
  assert latent is PARAMS and not jax.tree.leaves(frozen)

"""Functions and hyperparameters of replicas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.methods import replicas

KEY = jax.random.key(0)


def test_axes_of_replicas_are_found():
  tree = {'a': jnp.arange(6.0).reshape(2, 3)}
  np.testing.assert_array_equal(replicas.at(tree, 1, 0)['a'], [3.0, 4.0, 5.0])
  np.testing.assert_array_equal(replicas.at(tree, 1, 1)['a'], [1.0, 4.0])
  keys = jax.random.split(KEY, 2)
  doubled = replicas.each(lambda k, x: 2.0 * x, keys, jnp.arange(2.0))
  np.testing.assert_array_equal(doubled, [0.0, 2.0])
  assert replicas.each(lambda k, x: 2.0 * x, KEY, 3.0) == 6.0


def test_a_number_holds_for_all_replicas_and_a_list_for_each():
  found = replicas.per_replica({'rate': 2.0}, (3,))
  np.testing.assert_array_equal(found['rate'], [2.0, 2.0, 2.0])
  found = replicas.per_replica({'rate': [1, 2]}, (2,))
  np.testing.assert_array_equal(found['rate'], [1.0, 2.0])
  assert replicas.per_replica({'rate': 2.0}, ())['rate'].shape == ()
  for values, count in (([1, 2], (3,)), ([2.0], ())):
    with pytest.raises(ValueError, match='rate has shape'):
      replicas.per_replica({'rate': values}, count)

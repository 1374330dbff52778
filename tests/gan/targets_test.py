"""Targets: sources, weights, radii and critics along one axis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan import targets

NETWORK = types.Network(None, lambda params, z: params + z)


def test_targets_are_stacked_in_order_with_their_own_numbers():
  data = sources.array(jnp.ones((3, 2)))
  held = sources.array(jnp.zeros((3, 2)))
  pair = sources.generators(NETWORK, jnp.ones((2, 2)), 2)
  found = targets.stack(
    [
      targets.Target(data, held, 0.5, {'w': jnp.zeros(4)}),
      targets.Target(
        pair, pair, np.array([0.2, 0.3]), {'w': jnp.ones((2, 4))}, 1.5
      ),
    ]
  )
  assert sources.total(found.sources) == 3
  assert found.held_out[0] is held and found.held_out[1] is pair
  np.testing.assert_allclose(found.weights, [0.5, 0.2, 0.3])
  np.testing.assert_allclose(found.radii, [0.0, 1.5, 1.5])
  np.testing.assert_array_equal(found.critics['w'][:, 0], [0.0, 1.0, 1.0])


def test_critics_of_unlike_networks_are_refused():
  data = sources.array(jnp.ones((3, 2)))
  unlike = [
    targets.Target(data, data, 1.0, critic)
    for critic in ({'w': jnp.zeros(4)}, {'v': jnp.zeros(4)})
  ]
  with pytest.raises(AssertionError, match='do not match'):
    targets.stack(unlike)


def test_targets_are_pytrees_with_an_axis_of_replicas():
  def weights(key):
    source = sources.array(jax.random.normal(key, (3, 2)))
    target = targets.Target(source, source, 1.0, jnp.zeros(4))
    return targets.stack([target]).weights

  keys = jax.random.split(jax.random.key(0), 5)
  assert jax.vmap(weights)(keys).shape == (5, 1)

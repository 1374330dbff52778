"""The node that is nearest to the local samples."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.models import generator
from coalesce_jax.pipeline import nearest

# Latents do not matter: every image has the value of the parameters.
CONSTANT = types.Network(
  lambda key: jnp.zeros(()),
  lambda params, z: jnp.full((len(z), 2, 2, 1), params),
)


def node(values, critics):
  spec = generator.Spec('mlp', 2, (2, 2, 1))
  return generator.Generator(
    CONSTANT, jnp.asarray(values), spec, jnp.asarray(critics)
  )


def test_each_seed_gets_its_nearest_node_with_its_critic():
  nodes = [
    node([-1.0, -1.0, 0.0], [10, 11, 12]), node([0.5, 1.0, 1.0], [20, 21, 22])
  ]  # fmt: skip
  # Black, white and grey: -1, 1 and about 0 after decoding.
  pixels = np.array([0, 255, 128], np.uint8)
  local = np.broadcast_to(pixels[:, None, None, None, None], (3, 9, 2, 2, 1))
  found = nearest.nearest_node(nodes, local)
  np.testing.assert_array_equal(found.params, [-1.0, 1.0, 0.0])
  np.testing.assert_array_equal(found.critic, [10, 21, 12])
  again = nearest.nearest_node(nodes[::-1], jax.numpy.asarray(local))
  np.testing.assert_array_equal(again.params, found.params)

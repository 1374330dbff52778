"""Loss terms."""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import terms

DOUBLE = types.Network(None, lambda params, z: params * z)


def test_distillation_is_the_squared_distance_to_the_teacher():
  term = terms.distillation(DOUBLE, 3.0)
  z = jnp.array([[1.0, 2.0]])
  batch = terms.Batch(z, jnp.array([[1.0, 1.0]]), jax.random.key(0))
  # The teacher makes (2, 4): squares of 1 and 3.
  np.testing.assert_allclose(term.loss(None, batch, 2.0), 3.0 * (1 + 9) / 2)
  assert term.name == 'distillation'


def test_no_gradient_reaches_the_teacher():
  term = terms.distillation(DOUBLE, 1.0)
  batch = terms.Batch(jnp.ones((1, 2)), jnp.zeros((1, 2)), jax.random.key(0))
  assert float(jax.grad(lambda t: term.loss(None, batch, t))(2.0)) == 0.0


def test_equal_terms_are_one_so_that_games_share_a_program():
  assert terms.distillation(DOUBLE, 1.0) is terms.distillation(DOUBLE, 1.0)

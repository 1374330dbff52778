"""Adam against NumPy, and phases that update leaves of their own."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.training import optimizers
from tests import adam

PARAMS = {'a': {'kernel': jnp.ones(2), 'bias': jnp.ones(1)}, 'b': jnp.ones(3)}
GRADIENTS = {
  'a': {'kernel': jnp.full(2, 5.0), 'bias': jnp.full(1, -2.0)},
  'b': jnp.full(3, 0.5),
}


@pytest.mark.parametrize(('steps', 'constant'), [(0, 0), (4, 0), (3, 2)])
def test_adam_is_the_published_one_and_decays_to_zero(steps, constant):
  gradients = np.random.default_rng(0).normal(size=(6, 3))
  made = optimizers.adam(0.3, 0.6, 0.8, steps, 0.05, constant)
  state, reference = (
    made.init(jnp.zeros(3)),
    adam.Adam(0.3, 0.6, 0.8, steps, 0.05, 3, constant),
  )
  for gradient in gradients:
    update, state = made.update(jnp.asarray(gradient, jnp.float32), state)
    np.testing.assert_allclose(
      update, reference.update(gradient), rtol=1e-4, atol=1e-7
    )
  # After the decay nothing moves.
  assert bool(jnp.all(update == 0.0)) == (steps > 0)


def test_a_small_epsilon_moves_even_a_tiny_gradient_by_the_rate():
  made = optimizers.adam(0.1, 0.0, 0.9)
  update, _ = made.update(jnp.array([1e-4]), made.init(jnp.zeros(1)))
  np.testing.assert_allclose(update, [-0.1], rtol=1e-3)


def test_each_phase_updates_the_leaves_that_its_pattern_matches_first():
  phases = optimizers.phased(optax.sgd(1.0), ('a/k.*', 'a/.*', 'b'), PARAMS)
  moved = []
  for phase in phases:
    updates, _ = phase.update(GRADIENTS, phase.init(PARAMS), PARAMS)
    moved.append(
      [
        float(leaf[0])
        for leaf in (
          updates['a']['kernel'], updates['a']['bias'], updates['b']
        )
      ]
    )  # fmt: skip
  assert moved == [[-5.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, -0.5]]


def test_every_leaf_has_a_phase_and_every_phase_a_leaf():
  for patterns, match in (
    (('a/.*',), "matches leaf 'b'"),
    (('.*', 'nothing'), 'nothing'),
  ):
    with pytest.raises(ValueError, match=match):
      optimizers.phased(optax.sgd(1.0), patterns, PARAMS)

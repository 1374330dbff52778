"""Objectives: coefficients are the gradients of the functionals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import objectives

W1 = jnp.array([1.5, 0.5, 2.0])
WEIGHTS = jnp.array([0.2, 0.3, 0.5])
RADII = jnp.array([0.0, 1.0, 1.0])


@pytest.mark.parametrize('name', ['w1', 'w1_squared'])
def test_coefficients_are_the_gradient_of_the_value(name):
  made = objectives.build(name)
  state = made.init(3)
  c = made.coefficients(state, W1, WEIGHTS, RADII)
  np.testing.assert_allclose(c, jax.grad(made.value)(W1, WEIGHTS), rtol=1e-6)
  assert made.metrics(state, W1, RADII) == {}
  assert made.update(state, W1, RADII) == state == ()


def test_negative_estimates_do_not_push_a_squared_distance_away():
  made = objectives.build('w1_squared')
  c = made.coefficients((), -W1, WEIGHTS, RADII)
  np.testing.assert_array_equal(c, np.zeros(3))


def test_the_ball_is_an_augmented_lagrangian():
  made = objectives.build('ball', penalty=4.0, rate=0.5)
  m = jnp.array([0.0, 1.0, 0.1])
  # The first source pulls by 1; the others by m + penalty (w1 - radius).
  c = made.coefficients(m, W1, WEIGHTS, RADII)
  np.testing.assert_allclose(c, [1.0, 0.0, 4.1], rtol=1e-6)
  # Excesses of -.5 and 1 count as -1/4 and 1/4 at most.
  after = made.update(m, W1, RADII)
  np.testing.assert_allclose(after, [0.0, 0.875, 0.225], rtol=1e-6)
  found = made.metrics(m, W1, RADII)
  np.testing.assert_allclose(found['violation'], [0.0, 0.0, 1.0])
  np.testing.assert_array_equal(found['multiplier'], m)
  assert float(made.value(W1, WEIGHTS)) == 1.5
  np.testing.assert_array_equal(made.init(2), [0.0, 0.0])


def test_a_multiplier_is_never_negative():
  made = objectives.build('ball', penalty=1.0, rate=10.0)
  after = made.update(jnp.zeros(3), jnp.zeros(3), RADII)
  np.testing.assert_array_equal(after, np.zeros(3))

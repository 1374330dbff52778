"""Adversarial losses against the formulas of their papers."""

import jax
import jax.numpy as jnp
import numpy as np

REAL, FAKE = np.array([0.3, 2.0, -1.0]), np.array([-0.5, 1.5, 0.1])


def identity(x):
  return x


def check(made, of_real, of_fake, of_generator):
  """Asserts that losses are means of these functions of single scores.

  Args:
    made: the losses.
    of_real: the critic's loss of real samples, by NumPy.
    of_fake: the critic's loss of fakes.
    of_generator: the generator's loss of fakes.
  """
  loss, aux = made.critic_loss(
    identity, jnp.asarray(REAL), jnp.asarray(FAKE), jax.random.key(0)
  )
  wanted = of_real(REAL).mean() + of_fake(FAKE).mean()
  np.testing.assert_allclose(loss, wanted, rtol=1e-5)
  np.testing.assert_allclose(aux['gap'], REAL.mean() - FAKE.mean(), rtol=1e-5)
  assert float(aux['slope']) == 1.0 and float(aux['penalty']) == 0.0
  np.testing.assert_allclose(
    made.generator_loss(jnp.asarray(FAKE)), of_generator(FAKE).mean(), rtol=1e-5
  )
  # Scores have no unit of length: nothing is divided by a slope.
  assert float(made.distance(jnp.float32(3.0), jnp.float32(2.0))) == 3.0
  assert float(made.steepness(jnp.float32(2.0))) == 1.0

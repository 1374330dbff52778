"""Inputs of a game: what is not given."""

import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan import state

PRIOR = sources.normal(2)
SHIFT = types.Network(None, lambda params, z: z + params[None])
# Three critics, two of them of one source.
PARTS = (
  sources.array(jnp.zeros((4, 2))),
  sources.generators(SHIFT, jnp.zeros((2, 2)), 2),
)


def test_defaults_weigh_all_critics_equally_and_train_everything():
  made = state.inputs(PARTS, prior=PRIOR)
  np.testing.assert_allclose(made.weights, np.full(3, 1 / 3), rtol=1e-6)
  np.testing.assert_array_equal(made.radii, np.zeros(3))
  assert made.prior is PRIOR and made.sources is PARTS
  # Distances are estimated on fresh samples of the same sources.
  assert made.held_out is PARTS
  assert float(made.generator_rate) == float(made.critic_rate) == 1.0
  assert int(made.warmup) == 0 and made.terms == {}


def test_what_is_given_is_kept_as_arrays():
  held, data = PARTS[:1], {'pull': 3.0}
  made = state.inputs(
    PARTS[:1], prior=PRIOR, held_out=held, weights=[2], radii=[1],
    generator_rate=3, critic_rate=4, warmup=5, terms=data,
  )  # fmt: skip
  assert made.held_out is held and made.terms == data
  found = {
    name: getattr(made, name)
    for name in ('weights', 'radii', 'generator_rate', 'critic_rate', 'warmup')
  }
  expected = {
    'weights': 2.0, 'radii': 1.0, 'generator_rate': 3.0, 'critic_rate': 4.0,
    'warmup': 5,
  }  # fmt: skip
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value)
    kind = jnp.int32 if name == 'warmup' else jnp.float32
    assert found[name].dtype == kind

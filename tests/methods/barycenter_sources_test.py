"""Sources of a barycenter: grouped inputs, their critics, the new spec."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.gan import sources
from coalesce_jax.methods import barycenter_sources
from coalesce_jax.models import generator
from tests import small

KEY = jax.random.key(0)
WIDE = dataclasses.replace(
  small.VECTORS, options=generator.freeze({'hidden': (3,)})
)
# Two generators of one network, then one of another.
INPUTS = [
  small.drawn(spec, seed)
  for seed, spec in enumerate((small.VECTORS, small.VECTORS, WIDE))
]
PARAMS = [g.params for g in INPUTS]


def test_consecutive_inputs_of_one_network_are_one_source():
  made = barycenter_sources.build(INPUTS, PARAMS, [None] * 3, None)
  assert [source.count for source in made] == [2, 1]
  other = [INPUTS[k] for k in (0, 2, 1)]
  made = barycenter_sources.build(other, [g.params for g in other], [], None)
  assert [source.count for source in made] == [1, 1, 1]


def test_sources_draw_from_the_generators_in_order():
  made = barycenter_sources.build(INPUTS, PARAMS, [None] * 3, None)
  z = jax.random.normal(KEY, (5, 2))
  drawn = sources.draw(made, KEY, 5, z)
  for got, g in zip(drawn, INPUTS, strict=True):
    np.testing.assert_allclose(got, g.network.apply(g.params, z), rtol=1e-5)


def test_each_target_has_the_critics_and_numbers_of_its_generators():
  made = barycenter_sources.build(INPUTS, PARAMS, [None] * 3, None)
  critics = [{'w': jnp.full(2, float(k))} for k in range(3)]
  weights, radii = np.array([0.2, 0.3, 0.5]), np.array([0.0, 1.0, 2.0])
  both, last = barycenter_sources.targets(made, critics, weights, radii)
  np.testing.assert_array_equal(both.critic['w'], [[0.0, 0.0], [1.0, 1.0]])
  np.testing.assert_array_equal(last.critic['w'], [2.0, 2.0])
  np.testing.assert_array_equal(both.weight, [0.2, 0.3])
  np.testing.assert_array_equal(last.weight, [0.5])
  np.testing.assert_array_equal(both.radius, [0.0, 1.0])
  np.testing.assert_array_equal(last.radius, [2.0])
  for target, source in ((both, made[0]), (last, made[1])):
    assert target.source is source and target.held_out is source


def test_a_new_spec_takes_the_critic_of_the_first_input_that_has_one():
  bare = dataclasses.replace(
    WIDE, critic=None, critic_options=(), provenance={'dataset': 'digits'}
  )
  inputs = [INPUTS[0]._replace(spec=bare), INPUTS[1]]
  made = barycenter_sources.with_critic(bare, inputs)
  assert made.critic == 'mlp' and made.options == WIDE.options
  assert made.critic_options == small.VECTORS.critic_options
  assert made.provenance == {}
  other = generator.freeze({'hidden': (7,)})
  own = dataclasses.replace(bare, critic='mlp', critic_options=other)
  made = barycenter_sources.with_critic(own, inputs)
  assert made.critic_options == other

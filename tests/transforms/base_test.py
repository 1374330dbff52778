"""Reparametrizations: what is trained becomes what the network gets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.transforms import base

KEY = jax.random.key(0)
# The network gets twice the latent parameters; how much is frozen.
DOUBLE = base.Reparam(
  lambda key, params: (jax.tree.map(lambda x: x / 2.0, params), 2.0),
  lambda latent, frozen: jax.tree.map(lambda x: x * frozen, latent),
  penalty=lambda latent, frozen: frozen * jnp.sum(latent['w']),
  describe=lambda params: {'double': {'leaves': sorted(params)}},
)
SHIFT = base.Reparam(
  lambda key, params: (jax.tree.map(lambda x: x - 1.0, params), ()),
  lambda latent, frozen: jax.tree.map(lambda x: x + 1.0, latent),
  penalty=lambda latent, frozen: 10.0 * jnp.sum(latent['w']),
  describe=lambda params: {'shift': {}},
)


def in_two(optimizer, latent):
  return optimizer, optimizer


def test_a_composition_applies_the_inner_first_and_starts_at_the_parameters():
  both = base.compose(DOUBLE, SHIFT)
  params = {'w': jnp.array([6.0])}
  latent, frozen = both.init(KEY, params)
  np.testing.assert_allclose(latent['w'], 2.0)
  np.testing.assert_allclose(both.apply(latent, frozen)['w'], 6.0)
  np.testing.assert_allclose(base.start(both, KEY, params)['w'], 6.0)
  moved = {'w': latent['w'] + 1.0}
  np.testing.assert_allclose(both.apply(moved, frozen)['w'], 8.0)


def test_a_composition_pays_both_penalties_and_describes_both():
  both = base.compose(DOUBLE, SHIFT)
  latent, frozen = both.init(KEY, {'w': jnp.array([6.0])})
  # Twice 3, and ten times 2.
  assert float(both.penalty(latent, frozen)) == 26.0
  assert both.describe({'w': 0}) == {'double': {'leaves': ['w']}, 'shift': {}}


def test_a_composition_has_the_optimizers_of_the_one_that_brings_some():
  turns = SHIFT._replace(optimizers=in_two)
  adam = optax.adam(0.1)
  for outer, inner in ((DOUBLE, turns), (turns, DOUBLE)):
    assert len(base.compose(outer, inner).optimizers(adam, {})) == 2
  assert base.compose(DOUBLE, SHIFT).optimizers(adam, {}) == (adam,)
  with pytest.raises(ValueError, match='optimizers of their own'):
    base.compose(turns, turns)


def test_the_identity_changes_nothing_and_costs_nothing():
  params = {'w': jnp.arange(3.0)}
  same = base.identity()
  latent, frozen = same.init(KEY, params)
  np.testing.assert_array_equal(same.apply(latent, frozen)['w'], params['w'])
  assert float(same.penalty(latent, frozen)) == 0.0
  assert same.describe(params) == {} and not jax.tree.leaves(frozen)


def test_the_identity_is_neutral_so_that_equal_games_share_a_program():
  assert base.compose(base.identity(), SHIFT) == SHIFT
  assert base.compose(SHIFT, base.identity()) == SHIFT

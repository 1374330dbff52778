"""Mixtures as one network: who makes a sample, gradients, transport."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.core import types
from coalesce_jax.networks import latent_transport
from coalesce_jax.networks import mixture

RNG = np.random.default_rng(0)
# Samples `[B, 2, 1]` of two latents; the critic is linear.
SHIFTED = types.Network(
  lambda key: {'shift': jax.random.normal(key, ())},
  lambda params, z: (z + params['shift'])[..., None],
)
LINEAR = types.Network(
  lambda key: jax.random.normal(key, (2,)),
  lambda params, x: x[..., 0] @ params,
)
SELECT = jax.jit(lambda scores, chance: mixture.select(scores, chance))
SCORES = np.array([0.5, -1.0, 0.0], np.float32)
SHIFTS = np.array([0.0, 100.0, 200.0], np.float32)


def latents(n, count=3):
  return RNG.normal(size=(n, 2 + count)).astype(np.float32)


def gumbels(chance):
  return stats.gumbel_r.ppf(stats.norm.cdf(chance.astype(np.float64)))


def test_the_largest_score_after_noise_is_selected():
  chance = latents(40)[:, 2:]
  found = SELECT(SCORES, chance)
  expected = np.argmax(SCORES + gumbels(chance), 1)
  np.testing.assert_allclose(found, np.eye(3)[expected].T, atol=1e-6)
  # A constant in all scores changes nothing.
  np.testing.assert_allclose(SELECT(SCORES + 3.0, chance), found, atol=1e-6)


def test_scores_are_log_probabilities():
  weights = np.array([0.7, 0.3, 0.0], np.float32)
  with np.errstate(divide='ignore'):
    scores = np.log(weights)
  found = SELECT(scores, latents(4000)[:, 2:]).mean(1)
  # Five standard errors.
  np.testing.assert_allclose(found, weights, atol=5 * np.sqrt(0.21 / 4000))


def test_latents_of_no_chance_at_all_are_finite():
  chance = np.zeros((40, 3), np.float32)
  chance[0, :2], chance[1, :2] = (-50.0, 50.0), (50.0, -50.0)
  found = SELECT(np.zeros(3, np.float32), chance)[:, :2]
  expected = [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_gradient_of_scores_is_that_of_the_softmax():
  chance = latents(4)[:, 2:]
  weight = RNG.normal(size=(3, 4)).astype(np.float32)
  found = jax.jit(
    jax.grad(lambda s: jnp.sum(weight * mixture.select(s, chance)))
  )(SCORES)
  soft = np.exp(SCORES + gumbels(chance))
  soft /= soft.sum(1, keepdims=True)
  slopes = [np.diag(p) - np.outer(p, p) for p in soft]
  expected = sum(p @ w for p, w in zip(slopes, weight.T, strict=True))
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_masks_reach_over_the_axes_of_samples():
  chosen, samples = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3, 4, 5))
  found = mixture.masked(jnp.float32(chosen), jnp.float32(samples))
  np.testing.assert_allclose(
    found, np.einsum('kb,kbhw->kbhw', chosen, samples), rtol=1e-5
  )


def test_every_sample_is_one_of_the_selected_generator():
  network = mixture.network(SHIFTED, 3, 2)
  params = {'nodes': {'shift': SHIFTS}, 'scores': SCORES}
  z = latents(40)
  found = jax.jit(network.apply)(params, z)
  which = np.argmax(SCORES + gumbels(z[:, 2:]), 1)
  assert len(set(which)) == 3
  expected = z[:, :2] + SHIFTS[which][:, None]
  np.testing.assert_allclose(found, expected[..., None], atol=1e-4)


def test_samples_are_moved_by_the_critic_of_their_generator_which_stays():
  config = latent_transport.Config(steps=1, rate=0.5, pull=1.0)
  slopes = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], np.float32)
  params = {
    'nodes': {'shift': SHIFTS}, 'scores': SCORES, 'critics': slopes
  }  # fmt: skip
  z = latents(40)

  @jax.jit
  def run(params):
    moved = mixture.network(SHIFTED, 3, 2, LINEAR, config)
    still = mixture.network(SHIFTED, 3, 2, LINEAR)
    gradients = jax.grad(lambda p: (moved.apply(p, z) ** 2).sum())(params)
    return moved.apply(params, z), gradients, still.apply(params, z)

  moved, gradients, still = run(params)
  which = np.argmax(SCORES + gumbels(z[:, 2:]), 1)
  expected = z[:, :2] + SHIFTS[which][:, None]
  np.testing.assert_allclose(
    moved, (expected + 0.5 * slopes[which])[..., None], atol=1e-4
  )
  # Without a transport the critics move nothing.
  np.testing.assert_allclose(still, expected[..., None], atol=1e-4)
  assert not gradients['critics'].any()
  assert gradients['nodes']['shift'].all() and gradients['scores'].all()


def test_parameters_are_drawn_for_each_and_start_with_equal_chances():
  config = latent_transport.Config(steps=1)
  params = mixture.network(SHIFTED, 3, 2, LINEAR, config).init(
    jax.random.key(0)
  )
  assert sorted(params) == ['critics', 'nodes', 'scores']
  np.testing.assert_array_equal(params['scores'], np.zeros(3))
  values = np.concatenate(
    [params['nodes']['shift'], params['critics'].reshape(-1)]
  )
  assert params['critics'].shape == (3, 2) and len(np.unique(values)) == 9
  plain = mixture.network(SHIFTED, 3, 2).init(jax.random.key(0))
  assert sorted(plain) == ['nodes', 'scores']


def test_latents_of_another_number_of_generators_are_refused():
  network = mixture.network(SHIFTED, 3, 2)
  params = {'nodes': {'shift': jnp.zeros(3)}, 'scores': jnp.zeros(3)}
  with pytest.raises((TypeError, ValueError), match='shape'):
    network.apply(params, jnp.zeros((4, 2 + 2)))

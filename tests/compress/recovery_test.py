"""Smaller networks start where they say, and imitate what they say."""

import jax
import numpy as np
import pytest

from coalesce_jax.compress import agents
from coalesce_jax.compress import recovery
from coalesce_jax.compress import slicing
from coalesce_jax.core import trees
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import maps
from tests import agreement
from tests import small

KEY = jax.random.key(0)
OPTIONS = generator_lib.freeze({'hidden': (6,)})
SPEC = generator_lib.Spec('mlp', 2, (2,), OPTIONS, 'mlp', OPTIONS)
STILL = pretraining.Config(
  small.config(learning_rate=1e-9, critic_steps=1),
  small.schedule(1, 1, fast_compile=True),
)
MASKS = {'dense_0': np.array([1, 0, 1, 1, 0, 0], bool)}


@pytest.fixture(scope='module', name='given')
def _given():
  """A network, the problem of its half, and the half of its parameters."""
  made = small.generator(1, SPEC)
  spec, params = slicing.sliced(SPEC, made.params, MASKS)
  samples = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
  whole, half = (
    pretraining.problem(samples, each, STILL) for each in (SPEC, spec)
  )
  return made, params, whole, half


def test_training_goes_on_from_both_networks(given):
  made, params, _, half = given
  fresh = problems.train(KEY, half)
  trained = problems.train(KEY, recovery.continued(half, params, [made.critic]))
  agreement.close(trained.params, params, atol=1e-6)
  agreement.close(trained.critics[0], made.critic, atol=1e-6)
  assert not agreement.equal(fresh.params, trained.params)


@pytest.mark.slow
def test_several_seeds_start_from_the_same_networks(given):
  made, params, _, half = given
  many = problems.train(
    jax.random.split(KEY, 2), recovery.continued(half, params, [made.critic])
  )
  for k in range(2):
    agreement.close(trees.member(many.params, k), params, atol=1e-6)


def test_the_student_imitates_samples(given):
  made, params, whole, _ = given
  del params
  leaves = trees.flatten(made.params)
  leaves['out/bias'] = leaves['out/bias'] + np.float32([3.0, 1.0])
  problem = recovery.distilled(
    recovery.continued(whole, made.params, [made.critic]), whole,
    trees.unflatten(leaves), 0.5,
  )  # fmt: skip
  history = problems.train(KEY, problem).history
  np.testing.assert_allclose(
    history['term/distillation'], 0.5 * (9.0 + 1.0) / 2, rtol=1e-4
  )


def test_the_student_imitates_the_channels_that_it_has(given):
  made, params, whole, half = given
  leaves = trees.flatten(made.params)
  for scale in (1.0, 4.0):
    for name in ('dense_0/kernel', 'dense_0/bias'):
      leaves[name] = leaves[name] * np.float32(scale)
    problem = recovery.feature_distilled(
      recovery.continued(half, params, [made.critic]), whole,
      trees.unflatten(leaves), 8.0, SPEC, MASKS,
    )  # fmt: skip
    history = problems.train(KEY, problem).history
    wanted = 8.0 * (1.0 - 1.0 / scale)
    np.testing.assert_allclose(history['term/maps'], wanted, atol=1e-4)


def test_the_student_keeps_the_local_density(given):
  made, params, _, half = given
  spec, _ = slicing.sliced(SPEC, made.params, MASKS)
  pruned = recovery.Pruned(
    (spec.build(),), (SPEC.build_critic(),), (None,), lambda own: [own]
  )
  z = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
  away = np.float32([[3.0, 1.0], [-1.0, 2.0]])
  pool = agents.Pool(
    made.params, made.critic, z,
    spec.build().apply(params, z) + away[[0, 1, 0, 1]],
    np.array([[0, 1], [1, 0], [2, 3], [3, 2]]), np.float32(0.5),
  )  # fmt: skip

  def term(near, local=True):
    problem = recovery.with_density(
      recovery.continued(half, params, [made.critic]), pruned,
      (pool._replace(near=near),), 0.25,
      agents.Config(neighbourhoods=64, local=local),
    )  # fmt: skip
    (found,) = problems.train(KEY, problem).history['term/density']
    return found / 0.25

  # The critic's features are linear in samples.
  kernel = np.asarray(made.critic['dense_0']['kernel'])
  of = lambda shift: np.mean((shift @ kernel / 0.5) ** 2)  # noqa: E731
  joint, each = of(away.mean(0)), [of(shift) for shift in away]
  np.testing.assert_allclose(term(pool.near), joint, rtol=1e-4)
  alone = term(pool.near[:, :1])
  assert abs(alone - np.mean(each)) < 0.25 * abs(each[0] - each[1])
  together = term(pool.near[:, :1], local=False)
  assert abs(together - joint) < 0.3 * abs(np.mean(each) - joint)


def test_maps_are_those_that_the_next_layer_reads():
  made = small.generator(1, SPEC)
  z = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
  output, found = maps.with_maps(SPEC.build(), ('dense_0',))(made.params, z)
  agreement.close(output, SPEC.build().apply(made.params, z))
  layer = made.params['dense_0']
  np.testing.assert_allclose(
    found['dense_0'],
    z @ np.asarray(layer['kernel']) + np.asarray(layer['bias']),
    rtol=1e-5,
  )
  with pytest.raises(ValueError, match=r"no layers \['dense_7'\]"):
    maps.with_maps(SPEC.build(), ('dense_7',))(made.params, z)

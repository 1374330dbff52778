"""The game: purity, resumption, objectives, ensembles."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.training import optimizers
from coalesce_jax.training import scan
from coalesce_jax.transforms import base
from tests import agreement
from tests import small

# One program for all calls of a test with as many steps.
run = jax.jit(scan.run, static_argnums=(0, 4))
close = functools.partial(agreement.close, atol=2e-5, rtol=1e-3)


def test_a_resumed_run_equals_the_whole_run_bit_for_bit():
  played, state, inputs, key = small.made(small.config())
  whole, _ = run(played.step, state, inputs, key, 6)
  half, _ = run(played.step, state, inputs, key, 3)
  resumed, _ = run(played.step, half, inputs, key, 3)
  assert int(resumed.step) == 6
  assert agreement.equal(whole, resumed)


def test_steps_are_traced_once():
  played, state, inputs, key = small.made(small.config(ema=0.5))
  step = jax.jit(chex.assert_max_traces(played.step.__wrapped__, n=1))
  for _ in range(3):
    state, _ = step(state, inputs, key)
  assert int(state.step) == 3


def test_vmapped_games_equal_single_ones():
  played, state, inputs, _ = small.made(small.config())
  keys = jax.random.split(jax.random.key(5), 3)
  states = trees.stack([state] * 3)
  many = trees.stack([inputs._replace(weights=jnp.array([w, 1.0 - w])) for w in (0.2, 0.5, 0.8)])  # noqa: E501  # fmt: skip
  together, _ = jax.jit(jax.vmap(lambda s, i, k: scan.run(played.step, s, i, k, 3)))(states, many, keys)  # noqa: E501  # fmt: skip
  for k in range(3):
    alone, _ = run(played.step, state, trees.member(many, k), keys[k], 3)
    close(trees.member(together, k), alone)


def test_a_source_of_weight_zero_does_not_move_the_generator():
  played, state, inputs, key = small.made(small.config())
  inputs = inputs._replace(weights=jnp.array([1.0, 0.0]))
  other = inputs._replace(
    sources=(inputs.sources[0], sources.array(9.0 + jnp.zeros((4, 2))))
  )
  one, _ = played.step(state, inputs, key)
  two, _ = played.step(state, other, key)
  close(one.generator, two.generator, atol=1e-7)


def test_only_critics_learn_during_the_warm_up():
  played, state, inputs, key = small.made(small.config())
  inputs = inputs._replace(warmup=jnp.int32(2))
  warm, _ = run(played.step, state, inputs, key, 2)
  assert agreement.equal(warm.generator, state.generator)
  assert not agreement.equal(warm.critics, state.critics)
  after, metrics = played.step(warm, inputs, key)
  assert not agreement.equal(after.generator, warm.generator)
  np.testing.assert_array_equal(after.start_w1, warm.start_w1)
  np.testing.assert_allclose(metrics['distance'], jnp.max(warm.start_w1))


PHASES = ('affine/.*', '(?!affine/).*')


def by_phases(optimizer, latent):
  return optimizers.phased(optimizer, PHASES, latent)


def test_phases_update_their_own_leaves_on_the_same_batch():
  fast = {'learning_rate': 0.05}
  reparam = base.identity()._replace(optimizers=by_phases)
  played, state, inputs, key = small.made(small.config(**fast), reparam=reparam)
  together, other_state, _, _ = small.made(small.config(**fast))
  after, _ = played.step(state, inputs, key)
  joint, _ = together.step(other_state, inputs, key)
  # The first phase sees the same gradients as one joint update.
  close(after.generator['affine'], joint.generator['affine'], atol=1e-5)
  assert not agreement.equal(after.generator['out'], state.generator['out'])
  # Adam's first step is the sign of the gradient; later ones tell the two.
  for _ in range(3):
    after, _ = played.step(after, inputs, key)
    joint, _ = together.step(joint, inputs, key)
  assert not agreement.equal(after.generator['out'], joint.generator['out'])


def test_squared_objective_weighs_each_critic_by_its_distance():
  played, state, inputs, key = small.made(
    small.config(objective='w1_squared', w1_smoothing=0.0)
  )
  _, metrics = played.step(state, inputs, key)
  expected = 2.0 * 0.5 * jnp.maximum(metrics['w1'], 0.0)
  np.testing.assert_allclose(metrics['coefficient'], expected, rtol=1e-5)


def test_ball_raises_the_multiplier_of_a_violated_constraint_only():
  played, state, inputs, key = small.made(small.config(objective='ball'))
  wide = inputs._replace(radii=jnp.array([0.0, 100.0]))
  tight = inputs._replace(radii=jnp.array([0.0, -1.0]))
  for given, grows in ((wide, False), (tight, True)):
    after, metrics = run(played.step, state, given, key, 3)
    assert (float(after.objective[1]) > 0.0) == grows
    assert (float(metrics['violation'][-1][1]) > 0.0) == grows
    np.testing.assert_allclose(metrics['coefficient'][:, 0], 1.0)


def test_multipliers_do_not_wind_up_far_outside_a_ball():
  settings = small.config(objective='ball', ball_penalty=2.0, ball_rate=0.1)
  played, state, inputs, key = small.made(settings)
  far = inputs._replace(radii=jnp.array([0.0, -50.0]))
  after, metrics = run(played.step, state, far, key, 4)
  # The first step is a warm-up; each later one adds rate / penalty at most.
  assert float(after.objective[1]) == pytest.approx(3 * 0.1 / 2.0)
  assert np.all(metrics['coefficient'][:, 1] > 100.0)
  inside = state._replace(objective=jnp.array([0.0, 1.0]))
  wide = inputs._replace(radii=jnp.array([0.0, 50.0]))
  after, _ = run(played.step, inside, wide, key, 4)
  assert float(after.objective[1]) == pytest.approx(1.0 - 3 * 0.1 / 2.0)


def pull(params, batch, target):
  del params
  return 1e6 * jnp.mean((batch.samples - target[None]) ** 2)


def test_a_term_pulls_the_generator():
  settings = small.config(learning_rate=0.1, ema=0.0)
  term = terms.Term(pull, 'pull')
  played, state, inputs, key = small.made(settings, terms=(term,))
  target = jnp.array([3.0, -2.0])
  inputs = inputs._replace(terms={'pull': target})
  after, metrics = run(played.step, state, inputs, key, 100)
  x = small.VECTORS.build().apply(after.generator, jnp.zeros((1, 2)))
  np.testing.assert_allclose(x[0], target, atol=0.3)
  assert metrics['term/pull'][-1] < 0.01 * metrics['term/pull'][0]


def test_reused_batches_repeat_the_real_samples():
  played, state, inputs, key = small.made(small.config(reuse_batch=True))
  after, _ = played.step(state, inputs, key)
  assert bool(jnp.all(jnp.isfinite(after.w1)))


def test_more_batches_of_the_generator_are_less_noise_of_the_same_mean():
  keys = jax.random.split(jax.random.key(3), 400)
  found = []
  for batches in (1, 4):
    played, state, inputs, _ = small.made(
      small.config(generator_batches=batches, critic_steps=1), count=1
    )
    # Critics stand still and all real samples are one, so that estimates differ
    # by what the generator draws.
    one = sources.array(jnp.ones((1, 2)))
    inputs = small.inputs((one,), critic_rate=0.0)
    found.append(
      jax.vmap(lambda k: played.step(state, inputs, k)[1]['w1'][0])(keys)  # noqa: B023
    )
  deviations = [float(w1.std()) for w1 in found]
  assert abs(found[0].mean() - found[1].mean()) < 0.2 * deviations[0]
  # Half, as the mean of four times as many.
  assert 0.4 < deviations[1] / deviations[0] < 0.6


def test_more_batches_of_the_generator_leave_the_critics_alone():
  after = []
  for batches in (1, 3):
    played, state, inputs, key = small.made(
      small.config(generator_batches=batches)
    )
    after.append(played.step(state, inputs, key)[0])
  few, many = after
  assert agreement.equal(few.critics, many.critics)
  assert not agreement.equal(few.generator, many.generator)


def test_a_shared_prior_draws_once_for_critics_and_generator():
  # Of a constant prior, every draw is the same.
  results = []
  for shared in (False, True):
    config = small.config(critic_steps=1, shared_prior=shared)
    played, state, inputs, key = small.made(config)
    drawn = sources.draw_one(inputs.prior, key, 1)
    constant = sources.array(jnp.full_like(drawn, 0.3))
    results.append(
      run(played.step, state, inputs._replace(prior=constant), key, 2)
    )
  close(results[0], results[1], atol=1e-6, rtol=1e-5)


def test_without_held_out_samples_the_last_gap_is_the_estimate():
  config = small.config(critic_steps=2, held_out=False)
  played, state, inputs, key = small.made(config)
  _, metrics = played.step(state, inputs, key)
  expected = metrics['train_gap'] / np.maximum(metrics['slope'], 1.0)
  np.testing.assert_allclose(metrics['w1'], expected, rtol=1e-6)
  with_held = small.made(small.config(critic_steps=2))[0]
  after, other = with_held.step(state, inputs, key)
  assert np.all(other['w1'] != metrics['w1'])
  # The generator of a fixed objective is the same.
  close(after.generator, played.step(state, inputs, key)[0].generator)


def test_rate_scales_the_updates_of_adam():
  played, state, inputs, key = small.made(small.config())
  full, _ = played.step(state, inputs, key)
  slow = inputs._replace(generator_rate=jnp.float32(0.1))
  tenth, _ = played.step(state, slow, key)
  for a, b, c in zip(
    *(jax.tree.leaves(s.generator) for s in (state, full, tenth)), strict=True
  ):
    np.testing.assert_allclose(c - a, 0.1 * (b - a), atol=1e-6)


@functools.lru_cache
def paired_game(paired):
  return small.made(small.config(paired=paired), count=1)


def paired_gap(generator_seed, paired):
  """The estimate of the distance of a generator to a source like it."""
  played, state, _, key = paired_game(paired)
  params = small.VECTORS.build().init(jax.random.key(generator_seed))
  part = sources.generators(
    small.VECTORS.build(), jax.tree.map(lambda x: x[None], params), 2
  )
  inputs = small.inputs((part,), generator_rate=0.0)
  state = state._replace(generator=params)
  if generator_seed:
    own = small.VECTORS.build().init(jax.random.key(0))
    state = state._replace(generator=own)
  return float(played.step(state, inputs, key)[1]['w1'][0])


def test_paired_latents_show_no_distance_between_equal_generators():
  assert paired_gap(0, True) == 0.0
  assert abs(paired_gap(0, False)) > 1e-4
  assert abs(paired_gap(1, True)) > 1e-4


def test_low_precision_rounds_products_and_keeps_the_state_in_float32():
  played, state, inputs, key = small.made(small.config())
  low, *_ = small.made(small.config(precision='bfloat16'))
  exact, _ = played.step(state, inputs, key)
  rounded, _ = low.step(state, inputs, key)
  leaves = jax.tree.leaves((rounded.generator, rounded.critics))
  assert all(leaf.dtype == jnp.float32 for leaf in leaves)
  assert not agreement.equal(exact.critics, rounded.critics)
  close(exact.ema, rounded.ema, atol=2e-2)

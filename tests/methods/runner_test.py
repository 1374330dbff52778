"""The runner: replicas, shared programs, bad numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.gan import sources
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import runner
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from tests import agreement
from tests import small

KEY = jax.random.key(0)


NETWORK, CRITIC = small.VECTORS.build(), small.VECTORS.build_critic()


def setup(key, hyper, center):
  """A generator of one replica, drawn to one point."""
  source = sources.array(center[None])
  target = runner.Target(source, source, 1.0, CRITIC.init(key))
  return runner.Setup(
    NETWORK.init(key), (target,), generator_rate=hyper['rate']
  )


def settings():
  return runner.method(small.config(), small.schedule(4, 2), small.VECTORS)


def test_replicas_run_as_alone_each_with_numbers_of_its_own():
  keys = jax.random.split(KEY, 3)
  centers, rates = jnp.eye(3, 2), np.array([0.0, 1.0, 2.0])
  many = runner.run(keys, setup, (centers,), settings(), hyper={'rate': rates})
  assert many.history['w1'].shape == (2, 3, 1)
  for s in range(3):
    alone = runner.run(
      keys[s], setup, (centers[s],), settings(), hyper={'rate': rates[s]}
    )
    for got, want in zip(
      jax.tree.leaves((many.params, many.critics)),
      jax.tree.leaves((alone.params, alone.critics)),
      strict=True,
    ):
      np.testing.assert_allclose(got[s], want, rtol=1e-4, atol=1e-5)
  # A rate of 0 leaves a generator where it started.
  start = NETWORK.init(jax.random.split(keys[0])[0])
  still = trees.member(many.params, 0)
  np.testing.assert_allclose(
    still['out']['kernel'], start['out']['kernel'], rtol=1e-6
  )


def test_a_started_game_takes_the_steps_of_a_run():
  given = KEY, setup, (jnp.ones(2),), settings()
  ready = runner.started(*given, {'rate': 0.5})
  assert not ready.state.step
  chunk = scan.compiled(ready.game.task, False, None, ready.schedule.at_once)
  state = ready.state
  for _ in range(2):
    state, _, _ = chunk(state, ready.inputs, ready.key, 2)
  trained = runner.run(*given, hyper={'rate': 0.5})
  assert agreement.equal(ready.game.task.model(state), trained.params)


def test_numbers_of_another_number_of_replicas_are_refused():
  with pytest.raises(ValueError, match=r'rate has shape \(2,\)'):
    runner.run(KEY, setup, (jnp.ones(2),), settings(), hyper={'rate': [1, 2]})


def test_equal_settings_share_one_program_for_any_number_of_samples():
  """What is traced for a second run is only the shape of one fake."""
  plain, traced, counts = small.generator(), [], []

  def apply(params, z):
    traced.append(len(z))
    return plain.network.apply(params, z)

  start = plain._replace(network=plain.network._replace(apply=apply))
  for n in (8, 13):
    cj.adapt(
      KEY, start, jax.random.normal(KEY, (n, 2)),
      config=fine_tuning.Config(
        game=small.config(objective='w1_squared'),
        schedule=loop.Schedule(steps=2, chunk=2), warmup=1,
      ),
    )  # fmt: skip
    counts.append(list(traced))
    traced.clear()
  first, second = counts
  assert max(first) > 1 and set(second) == {1}


def test_a_schedule_says_how_many_replicas_run_at_once():
  small_batch = small.config(batch_size=8)
  assert runner.together(small_batch, (8, 8, 1)) is None
  large = dataclasses.replace(small_batch, batch_size=64)
  assert runner.together(large, (28, 28, 1)) == 1

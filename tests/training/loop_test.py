"""The driver: checkpoints, stops, rollbacks, early stopping."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.runs import checkpoints
from coalesce_jax.training import loop
from coalesce_jax.training import programs
from tests import small


def bits(tree):
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def drive(hooks=None, score=None, **schedule):
  played, state, inputs, key = small.made(small.config())
  return loop.drive(
    played, state, inputs, key, small.schedule(**schedule), hooks, score
  )


def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path):
  whole = drive(steps=9)
  kept = checkpoints.open(tmp_path / 'part', config_hash='a')
  stops = iter([False, True])
  hooks = loop.Hooks(
    restore=kept.restore, save=kept.save, stop=lambda: next(stops)
  )
  with pytest.raises(loop.Interrupted, match='step 6 of 9'):
    drive(hooks, steps=9)
  again = checkpoints.open(tmp_path / 'part', config_hash='a')
  resumed = drive(loop.Hooks(restore=again.restore, save=again.save), steps=9)
  assert bits(resumed.state) == bits(whole.state)
  assert resumed.history['step'].tolist() == [9]


def test_a_finished_run_is_not_run_again(tmp_path):
  kept = checkpoints.open(tmp_path / 'part', config_hash='a')
  hooks = loop.Hooks(restore=kept.restore, save=kept.save)
  first = drive(hooks)
  logged = []
  second = drive(hooks._replace(log=lambda step, row: logged.append(step)))
  assert not logged
  assert bits(first.state) == bits(second.state)


def test_a_training_begins_without_programs_of_too_many_others(monkeypatch):
  asked = []
  monkeypatch.setattr(programs, 'forget_many', lambda: asked.append(1))
  drive(steps=3)
  assert asked == [1]


def test_chunks_do_not_change_the_result():
  assert bits(drive(chunk=2).state) == bits(drive(chunk=6).state)


def test_observers_see_the_start_and_every_so_many_steps():
  seen = []
  drive(
    loop.Hooks(observe=lambda step, params: seen.append(step)),
    steps=9, observe_every=3,
  )  # fmt: skip
  assert seen == [0, 3, 6, 9]


def test_work_is_announced_before_each_program_that_is_compiled():
  told = []

  @contextlib.contextmanager
  def working(what):
    told.append(what)
    yield
    told.append('done')

  drive(
    loop.Hooks(
      working=working, progress=lambda step, total: told.append((step, total))
    ),
    steps=8,
    chunk=3,
  )
  assert told == [
    'compiling, then 3 of 8 steps', 'done', (3, 8), (6, 8),
    'compiling, then 2 of 8 steps', 'done', (8, 8),
  ]  # fmt: skip


def test_history_holds_a_row_a_chunk():
  result = drive(steps=7, chunk=3)
  assert result.history['step'].tolist() == [3, 6, 7]
  assert result.history['w1'].shape == (3, 2)


def test_early_stopping_keeps_the_best_and_stops():
  values = iter([3.0, 1.0, 2.0, 2.5, 9.0])
  seen, scores = {}, []
  result = drive(
    loop.Hooks(
      observe=lambda step, params: seen.update({step: params}),
      scored=lambda step, score: scores.append((step, float(score))),
    ),
    score=lambda params: jnp.float32(next(values)),
    steps=15, chunk=3, select_every=3, patience=2, observe_every=3,
  )  # fmt: skip
  assert int(result.state.step) == 12
  assert bits(result.model) == bits(seen[6])
  assert scores == [(3, 3.0), (6, 1.0), (9, 2.0), (12, 2.5)]


def test_no_model_is_kept_before_scores_may_begin():
  values = iter([1.0, 3.0, 2.0])
  seen, scored = {}, []
  result = drive(
    loop.Hooks(
      observe=lambda step, params: seen.update({step: params}),
      scored=lambda step, score: scored.append(step),
    ),
    score=lambda params: jnp.float32(next(values)),
    steps=12, chunk=3, select_every=3, select_after=6, observe_every=3,
  )  # fmt: skip
  assert scored == [6, 9, 12]
  assert bits(result.model) == bits(seen[6])
  with pytest.raises(ValueError, match='select_after -1 is negative'):
    loop.Schedule(4, 2, select_after=-1)


def broken(limit):
  """A game whose generator turns NaN at step 2 until `limit` other keys."""
  played, state, inputs, key = small.made(small.config())
  original = jax.random.key_data(key)
  del limit

  def step(state, inputs, key):
    state, metrics = played.step(state, inputs, key)
    same = jnp.all(jax.random.key_data(key) == original)
    bad = (state.step == 2) & same
    poison = jax.tree.map(
      lambda leaf: jnp.where(bad, jnp.nan, leaf), state.generator
    )
    return state._replace(generator=poison), metrics

  return played._replace(step=step), state, inputs, key


def test_a_run_that_turns_nan_rolls_back_and_goes_on():
  played, state, inputs, key = broken(1)
  result = loop.drive(played, state, inputs, key, small.schedule())
  leaves = jax.tree.leaves(result.state.generator)
  assert int(result.state.step) == 6
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


def test_a_run_that_stays_nan_ends_with_a_diagnosis():
  played, state, inputs, key = small.made(small.config())
  bad = inputs._replace(weights=jnp.array([jnp.nan, 0.5]))
  with pytest.raises(loop.Diverged, match='generator/.*learning rate'):
    loop.drive(played, state, bad, key, small.schedule())


@pytest.mark.parametrize(
  'at_once', [pytest.param(1, marks=pytest.mark.slow), 2]
)
def test_members_in_turns_equal_members_together(at_once):
  played, state, inputs, _ = small.made(small.config())
  keys = jax.random.split(jax.random.key(5), 3)
  args = trees.stack([state] * 3), trees.stack([inputs] * 3), keys
  together, turns = (
    loop.drive(played, *args, small.schedule(at_once=n)) for n in (3, at_once)
  )
  for a, b in zip(
    jax.tree.leaves((together.state, together.history)),
    jax.tree.leaves((turns.state, turns.history)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)

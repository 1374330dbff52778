"""Streams of tasks: stages that resume, seeds, and what is stored."""

import dataclasses

import jax
import numpy as np
import pytest

from coalesce_jax.continual import one_network
from coalesce_jax.continual import piggyback_learner as piggyback
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from tests.continual import streams

KEY = streams.KEY


def memory():
  """Hooks that keep checkpoints in a dict, and stop once at a stage."""
  kept, stops = {}, {'sequential_2': 1}

  def hooks(stage):
    def stop():
      stops[stage] = stops.get(stage, 0) - 1
      return stops[stage] >= 0

    return loop.Hooks(
      restore=lambda like: kept.get(stage),
      save=lambda step, tree: kept.update({stage: (step, tree)}),
      stop=stop,
    )

  return hooks, kept


@pytest.mark.slow
def test_a_stopped_stream_goes_on_inside_its_task_and_ends_the_same():
  given, learner = streams.points(2), one_network.sequential()
  whole = stream.run(KEY, learner, given)
  hooks, kept = memory()
  with pytest.raises(loop.Interrupted, match='step 1 of 2'):
    stream.run(KEY, learner, given, hooks)
  assert {k: step for k, (step, _) in kept.items()} == {
    'sequential_1': 2, 'sequential_2': 1,
  }  # fmt: skip
  resumed = stream.run(KEY, learner, given, hooks)
  np.testing.assert_array_equal(
    resumed.scores['energy'], whole.scores['energy']
  )
  # One network, which has a score on every task after every one.
  assert np.isfinite(whole.scores['energy']).all()
  assert whole.scores['energy'][0, 0] != whole.scores['energy'][1, 0]
  assert whole.stored.tolist() == [68, 0]
  # The first task had nothing left to do.
  assert not resumed.histories[0] and len(resumed.histories[1]['step']) == 1


def test_streams_need_tasks_of_different_names():
  given = streams.points(1)
  for wrong in ([], given * 2):
    with pytest.raises(ValueError, match='at least one is needed'):
      stream.run(KEY, one_network.sequential(), wrong)
  for name in ('', 'A', '../x', 'x' * 61, 3):
    with pytest.raises(ValueError, match='task name'):
      tasks.named(name)


def test_one_network_needs_tasks_of_one_network():
  first = streams.points(1)[0]
  spec = dataclasses.replace(
    first.spec, options=generator_lib.freeze({'hidden': (4, 7)})
  )
  other = first._replace(name='other', network=spec.build())
  tasks.check_network(other, spec.build())
  with pytest.raises(ValueError, match='task other: affine/bias is .2,., in'):
    tasks.check_network(other, first.network)


@pytest.mark.slow
def test_seeds_are_runs_of_their_own():
  given = streams.points(2)
  keys = jax.random.split(KEY, 2)
  both = stream.run(keys, piggyback.learner(), given)
  for s in range(2):
    one = stream.run(keys[s], piggyback.learner(), given)
    np.testing.assert_allclose(
      both.scores['energy'][..., s], one.scores['energy'], rtol=1e-4
    )
    assert both.stored.tolist() == one.stored.tolist()

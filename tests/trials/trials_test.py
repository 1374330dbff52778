"""Trials that are done once and kept."""

import functools

import ml_collections
import pytest

from coalesce_jax.trials import trials


def settings(**values):
  return ml_collections.ConfigDict({'count': 5} | values)


def squares(workdir, config, stop):
  del workdir, stop
  return {f't{i}': functools.partial(square, i) for i in range(config.count)}


def square(i):
  return {'square': i * i}


def fail():
  raise ValueError('no such law')


def test_trials_are_done_once(tmp_path):
  first = trials.run(tmp_path, settings(), squares)
  (tmp_path / 'trials' / 't3.json').unlink()
  again = trials.run(tmp_path, settings(), squares)
  assert again['t1'] == first['t1'] and again['t3']['square'] == 9


def test_a_failing_trial_is_raised_and_leaves_no_result(tmp_path):
  def plan(workdir, config, stop):
    return squares(workdir, config, stop) | {'bad': fail}

  with pytest.raises(ValueError, match='no such law'):
    trials.run(tmp_path, settings(), plan)
  kept = [path.name for path in (tmp_path / 'trials').iterdir()]
  assert sorted(kept) == [f't{i}.json' for i in range(5)]


def test_names_are_names_of_files(tmp_path):
  with pytest.raises(ValueError, match='no file name'):
    trials.run(tmp_path / 'run', settings(), lambda w, c, s: {'../x': fail})
  assert not (tmp_path / 'run').exists()


def test_there_is_a_worker(tmp_path):
  with pytest.raises(ValueError, match='workers'):
    trials.run(tmp_path / 'run', settings(), squares, workers=0)
  assert not (tmp_path / 'run').exists()


def test_some_trials_run_by_name(tmp_path):
  found = trials.run(tmp_path, settings(), squares, only=['t3', 't1'])
  assert list(found) == ['t1', 't3']
  kept = sorted(f.name for f in (tmp_path / 'trials').iterdir())
  assert kept == ['t1.json', 't3.json']
  with pytest.raises(ValueError, match="trial 't9' is not among"):
    trials.run(tmp_path, settings(), squares, only=['t9'])
  assert list(trials.run(tmp_path, settings(), squares)) == [
    f't{i}' for i in range(5)
  ]

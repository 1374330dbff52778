"""Trials that are done once and kept."""

import functools
import subprocess
import sys

from matplotlib import figure
import ml_collections
import pytest

from coalesce_jax.trials import results
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


@pytest.mark.parametrize('text', ['', '[]', 'null', '{"square": '])
def test_a_damaged_result_is_made_again(tmp_path, text):
  trials.run(tmp_path, settings(), squares)
  for name in ('t2', 't3'):
    (tmp_path / 'trials' / f'{name}.json').write_text(text)
  with pytest.raises(ValueError, match='t3.json: damaged'):
    results.read(tmp_path, 't3')
  with pytest.raises(ValueError, match='3 of 5 trials are done'):
    trials.summarise(experiment(), settings(), tmp_path)
  found = trials.run(tmp_path, settings(), squares)
  assert [r['square'] for r in found.values()] == [0, 1, 4, 9, 16]
  assert results.read(tmp_path, 't3')['square'] == 9


def test_results_and_figures_are_reported(tmp_path):
  trials.complete(experiment(), settings(), tmp_path)
  data = (tmp_path / 'squares.png').read_bytes()
  assert data.startswith(b'\x89PNG')
  (tmp_path / 'squares.png').unlink()
  line = trials.summarise(experiment(), settings(), tmp_path)
  assert line == {'sum': 30, 'workdir': str(tmp_path)}
  assert (tmp_path / 'squares.png').read_bytes() == data


def experiment():
  def report(config, results):
    del config
    total = sum(result['square'] for result in results.values())
    drawn = figure.Figure(figsize=(1.0, 1.0))
    return trials.Report({}, {'sum': total}, '', {'squares': drawn})

  return trials.Experiment('squares', 'squares', '', squares, report)


def test_a_trial_that_another_process_runs_is_refused_and_no_other(tmp_path):
  trials.run(tmp_path, settings(), squares, only=['t0'])
  code = (
    'import fcntl, os, sys\n'
    'held = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)\n'
    'os.write(held, b"77 there\\n"); fcntl.flock(held, fcntl.LOCK_EX)\n'
    'print(flush=True); sys.stdin.read()'
  )
  other = subprocess.Popen(
    [sys.executable, '-c', code, str(tmp_path / '.trial-t3.lock')],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
  )  # fmt: skip
  other.stdout.readline()
  trials.run(tmp_path, settings(), squares, only=['t1', 't2'])
  with pytest.raises(ValueError) as caught:
    trials.run(tmp_path, settings(), squares)
  assert str(caught.value) == (
    f"trial 't3' of {tmp_path} is in use by process 77 on there; wait until it "
    'ends, or stop it'
  )
  kept = sorted(path.name for path in (tmp_path / 'trials').iterdir())
  assert kept == ['t0.json', 't1.json', 't2.json']
  other.communicate()
  assert len(trials.run(tmp_path, settings(), squares)) == 5


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

"""Trials that are done once and kept."""

import functools
import json

import ml_collections
import pytest

from coalesce_jax.cli import experiment as experiment_lib
from coalesce_jax.trials import trials
from experiments.ground_truth import main as ground_truth


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


def test_words_are_parts_of_names():
  assert trials.word('/my data/a.npz') == '-my-data-a-npz'
  assert trials.word('mnist:0-4|5-9->0-9') == 'mnist-0-4-5-9--0-9'


def test_there_is_a_worker(tmp_path):
  with pytest.raises(ValueError, match='workers'):
    trials.run(tmp_path / 'run', settings(), squares, workers=0)
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('values', [(), (0,), ('a',), (2, -1)])
def test_sizes_are_whole_numbers(values):
  with pytest.raises(ValueError, match='dims'):
    trials.sizes('dims', values)
  assert trials.sizes('dims', 2) == [2]


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


def test_the_command_line_lists_trials_and_runs_some(
  tmp_path, capsys, monkeypatch
):
  experiment = trials.Experiment(
    'ground_truth',
    'help',
    ground_truth.EXPERIMENT.config,
    lambda workdir, config, stop: {'a': dict, 'b': dict},
    lambda config, results: trials.Report(
      {'made': sorted(results)}, {'whole': len(results)}, 'a table\n'
    ),
  )
  arguments = [f'--workdir={tmp_path / "run"}']
  for more, expected in (
    (['--list'], {'stages': [[['a'], ['b']]]}),
    (['--trials=b'], {'workdir': str(tmp_path / 'run'), 'trials': ['b']}),
    ([], {'workdir': str(tmp_path / 'run'), 'whole': 2}),
  ):
    monkeypatch.setattr('sys.argv', ['any', *arguments, *more])
    assert experiment_lib.main(experiment, [*arguments, *more]) == 0
    out = capsys.readouterr().out.strip().splitlines()[-1]
    assert json.loads(out) == expected
    kept = sorted(f.name for f in (tmp_path / 'run' / 'trials').glob('*'))
    assert kept == {'--list': [], '--trials=b': ['b.json']}.get(
      ''.join(more), ['a.json', 'b.json']
    )
  found = json.loads((tmp_path / 'run' / 'summary.json').read_text())
  assert found['made'] == ['a', 'b']
  # Both by the same revision, on the same device.
  assert list(found['provenance'].values()) == [2]
  assert (tmp_path / 'run' / 'tables.md').read_text() == 'a table\n'


@pytest.mark.parametrize('partial', [True, False])
def test_a_report_of_what_is_done_runs_nothing(
  partial, tmp_path, capsys, monkeypatch
):
  experiment = trials.Experiment(
    'ground_truth',
    'help',
    ground_truth.EXPERIMENT.config,
    lambda workdir, config, stop: {'a': dict, 'b': fail},
    lambda config, results: trials.Report(
      {'made': sorted(results)}, {'whole': len(results)}
    ),
    partial=partial,
  )
  work = tmp_path / 'run'

  def run(*more):
    arguments = [f'--workdir={work}', *more]
    monkeypatch.setattr('sys.argv', ['any', *arguments])
    return experiment_lib.main(experiment, arguments), capsys.readouterr()

  code, found = run('--report')
  assert code == 2
  assert '0 of 2 trials are done' in found.err
  assert not work.exists()
  assert run('--report', '--trials=a')[0] == 2
  assert run('--trials=a')[0] == 0
  kept = work / 'environment.json'
  kept.write_text('of the run')
  code, found = run('--report')
  assert code == (0 if partial else 2) and kept.read_text() == 'of the run'
  assert (work / 'summary.json').is_file() == partial
  if partial:
    assert json.loads((work / 'summary.json').read_text())['made'] == ['a']
    code, found = run('--report', '--config.seed=77')
    assert code == 2 and 'holds a run with other settings' in found.err
  else:
    assert 'a summary of ground_truth needs all' in found.err

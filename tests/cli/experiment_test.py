"""The command line of an experiment: all trials, some, a list, a report."""

import json

import pytest

from coalesce_jax.cli import experiment as experiment_lib
from coalesce_jax.trials import trials


def settings(folder):
  """A configuration file."""
  path = folder / 'default.py'
  path.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    "  return ml_collections.ConfigDict({'seed': 0})\n"
  )
  return str(path)


def fail():
  raise ValueError('no such law')


def test_the_command_line_lists_trials_and_runs_some(
  tmp_path, capsys, monkeypatch
):
  experiment = trials.Experiment(
    'any',
    'help',
    settings(tmp_path),
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
    'any',
    'help',
    settings(tmp_path),
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
    assert 'a summary of any needs all' in found.err


@pytest.mark.parametrize(
  ('config', 'more', 'match'),
  [
    ({}, ['--trials='], '--trials= names no trial; leave it out'),
    ({}, ['--trials=c'], "--trials: 'c' is not one of --list"),
    ({}, ['--config.rounds=3'], '--config: no such field, rounds'),
    ('return {"seed": 0}', ['--list'], "returns {'seed': 0}, which is no C"),
    ('return 3', [], 'get_config returns 3, which is no ConfigDict'),
    ('import sys; sys.exit(0)', [], '--config: 0'),
  ],
)
def test_what_is_no_trial_and_no_configuration_is_refused(
  tmp_path, capsys, monkeypatch, config, more, match
):
  path = settings(tmp_path)
  if config:
    (tmp_path / 'default.py').write_text(f'def get_config():\n  {config}\n')
  experiment = trials.Experiment(
    'any', 'help', path, lambda workdir, config, stop: {'a': fail},
    lambda config, results: trials.Report({}, {}),
  )  # fmt: skip
  arguments = [f'--workdir={tmp_path / "run"}', *more]
  monkeypatch.setattr('sys.argv', ['any', *arguments])
  assert experiment_lib.main(experiment, arguments) == 2
  found = capsys.readouterr()
  assert match in found.err.splitlines()[-1] and not found.out
  assert not (tmp_path / 'run').exists()

"""Trackers: what each package is told, by fakes that keep its calls.

The fakes have the signatures of the packages' own functions. Where a package is
installed, the last tests write with it and read its records back.
"""

import json
import logging
import sys
import types

import numpy as np
import pytest

from coalesce_jax.cli import commands
from coalesce_jax.cli import main
from coalesce_jax.runs import workdir
from tests import small
from tests.cli import calls

CONFIG = {'a': 1, 'b': {'c': (1, 2)}}


class FakeWandb(types.ModuleType):
  """Keeps the calls of `wandb`, which has one run at a time."""

  def __init__(self):
    super().__init__('wandb')
    self.calls, self.broken = [], False
    self.Settings = lambda *, console: ('settings', console)

  def init(self, *, project, name, id, resume, dir, config, settings):
    if self.broken:
      raise RuntimeError('api_key not configured\nsecond line')
    self.calls.append(('init', project, name, id, resume, config, settings))
    assert not dir.endswith('wandb')
    return self

  def define_metric(self, name, *, step_metric):
    self.calls.append(('define', name, step_metric))

  def log(self, data):
    if self.broken:
      raise OSError('no route to host')
    self.calls.append(('log', data))

  def finish(self, *, exit_code):
    self.calls.append(('finish', exit_code))


class FakeMlflow(types.ModuleType):
  """Keeps the calls of `mlflow.MlflowClient`, whose store forgets nothing."""

  class MlflowException(Exception):
    pass

  def __init__(self):
    super().__init__('mlflow')
    self.calls, self.experiments, self.runs = [], {}, []
    self.entities = types.ModuleType('mlflow.entities')
    self.entities.Param = lambda key, value: (key, value)
    self.entities.Metric = lambda key, value, timestamp, step: (
      key, value, step, timestamp > 1e12,
    )  # fmt: skip
    run = types.SimpleNamespace

    class Client:
      def __init__(_, *, tracking_uri):
        self.uri = tracking_uri

      def get_experiment_by_name(_, name):
        found = self.experiments.get(name)
        return found and run(experiment_id=found)

      def create_experiment(_, name):
        return self.experiments.setdefault(name, f'id of {name}')

      def create_run(_, experiment, *, run_name):
        self.runs.append(f'run{len(self.runs)}')
        self.calls.append(('run', experiment, run_name))
        return run(info=run(run_id=self.runs[-1]))

      def update_run(_, name, *, status):
        if name not in self.runs:
          raise self.MlflowException(name)
        self.calls.append(('update', name, status))

      def log_batch(_, run_id, metrics=(), params=()):
        assert len(params) <= 100
        self.calls.append(('batch', run_id, list(metrics), list(params)))

      def set_terminated(_, run_id, status):
        self.calls.append(('end', run_id, status))

    self.MlflowClient = Client


@pytest.fixture(name='wandb')
def _wandb(monkeypatch):
  fake = FakeWandb()
  monkeypatch.setitem(sys.modules, 'wandb', fake)
  for name in ('WANDB_MODE', 'WANDB_PROJECT'):
    monkeypatch.delenv(name, raising=False)
  return fake


@pytest.fixture(name='mlflow')
def _mlflow(monkeypatch):
  fake = FakeMlflow()
  monkeypatch.setitem(sys.modules, 'mlflow', fake)
  monkeypatch.setitem(sys.modules, 'mlflow.entities', fake.entities)
  for name in ('URI', 'EXPERIMENT_NAME'):
    monkeypatch.delenv(f'MLFLOW_{name}', raising=False)
  monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
  monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
  return fake


def opened(folder, *names):
  return workdir.open_workspace(folder, config=CONFIG, track=names)


def test_wandb_gets_means_against_the_steps_of_each_stage(tmp_path, wandb):
  with opened(tmp_path / 'mine', 'wandb') as work:
    work.recorder.log('one', 3, {'x': np.array([1.0, 2.0]), 'y': np.nan})
    work.recorder.log('one', 6, {'x': 4})
  (init, defined, first, second, finish) = wandb.calls
  kept = (tmp_path / 'mine' / 'wandb.id').read_text().strip()
  assert init == (
    'init', 'coalesce_jax', 'mine', kept, 'allow',
    {'a': 1, 'b': {'c': [1, 2]}}, ('settings', 'off'),
  )  # fmt: skip
  assert defined == ('define', 'one/x', 'one/step')
  assert first == ('log', {'one/step': 3, 'one/x': 1.5})
  assert second == ('log', {'one/step': 6, 'one/x': 4.0})
  assert finish == ('finish', 0)


def test_wandb_resumes_its_run_and_hears_of_a_failure(
  tmp_path, wandb, monkeypatch
):
  opened(tmp_path, 'wandb').close()
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_PROJECT', 'other')
  with pytest.raises(KeyError):
    with opened(tmp_path, 'wandb'):
      raise KeyError
  begun = [call for call in wandb.calls if call[0] == 'init']
  assert begun[0][3] == begun[1][3] and begun[1][1] == 'other'
  assert begun[0][4] == 'allow' and begun[1][4] is None
  assert wandb.calls[-1] == ('finish', 1)


def test_mlflow_gets_settings_and_means(tmp_path, mlflow):
  with opened(tmp_path / 'mine', 'mlflow') as work:
    work.recorder.log('one/curve', 3, {'x': [[1.0, 2.0]]})
  assert mlflow.uri == (tmp_path / 'mine' / 'mlruns').as_uri()
  assert mlflow.calls == [
    ('run', 'id of coalesce_jax', 'mine'),
    ('batch', 'run0', [], [('a', '1'), ('b.c', '[1, 2]')]),
    ('batch', 'run0', [('one/curve/x', 1.5, 3, True)], []),
    ('end', 'run0', 'FINISHED'),
  ]


def test_mlflow_resumes_a_run_that_its_store_knows(
  tmp_path, mlflow, monkeypatch
):
  opened(tmp_path, 'mlflow').close()
  work = opened(tmp_path, 'mlflow')
  work.close(failed=True)
  assert mlflow.calls[-2:] == [
    ('update', 'run0', 'RUNNING'), ('end', 'run0', 'FAILED')
  ]  # fmt: skip
  monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://elsewhere')
  monkeypatch.setenv('MLFLOW_EXPERIMENT_NAME', 'other')
  (tmp_path / 'mlflow.id').write_text('unknown\n')
  opened(tmp_path, 'mlflow').close()
  assert mlflow.uri == 'http://elsewhere'
  assert ('run', 'id of other', tmp_path.name) in mlflow.calls
  assert (tmp_path / 'mlflow.id').read_text() == 'run1\n'


def test_many_settings_go_to_mlflow_in_several_calls(tmp_path, mlflow):
  config = {f's{k}': k for k in range(250)}
  workdir.open_workspace(tmp_path, config=config, track=['mlflow']).close()
  given = [p for c in mlflow.calls if c[0] == 'batch' for p in c[3]]
  assert given == [(name, str(value)) for name, value in config.items()]


def test_a_tracker_that_fails_is_left_out_and_training_goes_on(
  tmp_path, wandb, mlflow, caplog
):
  with caplog.at_level(logging.WARNING):
    with opened(tmp_path, 'wandb', 'mlflow', 'wandb') as work:
      wandb.broken = True
      for step in (1, 2):
        work.recorder.log('one', step, {'x': 1.0})
  messages = [record.getMessage() for record in caplog.records]
  assert messages == [
    '--track=wandb: cannot record, and is left out (no route to host)'
  ]
  assert [c[0] for c in wandb.calls] == ['init', 'define']
  assert sum(c[0] == 'batch' and bool(c[2]) for c in mlflow.calls) == 2
  assert [row['step'] for row in work.recorder.rows('one')] == [1, 2]


def test_a_tracker_that_does_not_start_is_refused_in_one_line(
  tmp_path, wandb, mlflow
):
  wandb.broken = True
  with pytest.raises(ValueError) as caught:
    opened(tmp_path, 'mlflow', 'wandb')
  assert str(caught.value) == (
    '--track=wandb: does not start (api_key not configured); log in with '
    '`wandb login`, or set WANDB_MODE=offline to keep the records in the work '
    'folder'
  )
  assert mlflow.calls[-1] == ('end', 'run0', 'FAILED')
  opened(tmp_path).close()


TRAINING = (
  'run', 'pretrain', 'barycenter', 'adapt', 'ternarize', 'compress',
  'translate train', 'stream run', 'stream add', 'federated run',
)  # fmt: skip


@pytest.mark.parametrize('name', ['tensorboard', 'wandb', 'mlflow'])
def test_a_package_that_is_missing_is_named_before_anything_is_made(
  tmp_path, monkeypatch, name
):
  package = {'tensorboard': 'tensorboardX'}.get(name, name)
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(ValueError) as caught:
    opened(tmp_path / 'new', name)
  text = str(caught.value)
  assert text.startswith(f'--track={name}: {package} cannot be imported')
  assert text.endswith(f"pip install 'coalesce_jax[{name}]'")
  assert '\n' not in text and not (tmp_path / 'new').exists()
  with pytest.raises(ValueError, match="tracker 'none' is not one of tensor"):
    opened(tmp_path / 'new', 'none')


def test_all_commands_that_train_take_trackers(capsys):
  for name in commands.TABLE:
    argv = ['coalesce', *name.split(), '--track=tensorboard,wandbb']
    assert main.main(argv) == 2
    error = capsys.readouterr().err.strip()
    if name in TRAINING:
      assert "'wandbb' is not one of tensorboard, wandb, mlflow" in error
    else:
      assert 'track' in error and 'is not one of' not in error


def test_a_command_tracks_and_closes_and_its_settings_stay_the_same(
  tmp_path, capsys, wandb
):
  node = calls.node(tmp_path / 'a.safetensors', spec=small.PIXELS)
  argv = ['barycenter', f'--nodes={node},{node}', *calls.FEW,
          f'--out={tmp_path / "m.safetensors"}']  # fmt: skip
  code, result, error = calls.run(capsys, *argv, '--track=wandb')
  assert code == 0, error
  assert wandb.calls[-1] == ('finish', 0)
  rows = [c[1] for c in wandb.calls if c[0] == 'log']
  assert rows and all('barycenter/w1_smooth' in row for row in rows)
  # Another tracker, or none, goes on with the same run.
  assert calls.run(capsys, *argv)[0] == 0
  path = f'{result["workdir"]}/config.json'
  with open(path) as file:
    assert 'track' not in json.load(file)


def test_wandb_itself_writes_offline(tmp_path, monkeypatch):
  pytest.importorskip('wandb')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  with opened(tmp_path, 'wandb') as work:
    work.recorder.log('one', 1, {'x': 1.0})
  (written,) = tmp_path.glob('wandb/offline-run-*/*.wandb')
  assert written.stat().st_size > 0


def test_mlflow_itself_writes_to_the_folder(tmp_path, monkeypatch):
  mlflow = pytest.importorskip('mlflow')
  monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
  monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
  for step in (1, 2):
    with opened(tmp_path, 'mlflow') as work:
      work.recorder.log('one', step, {'x': [step, 3.0 * step]})
  client = mlflow.MlflowClient(tracking_uri=(tmp_path / 'mlruns').as_uri())
  name = (tmp_path / 'mlflow.id').read_text().strip()
  history = client.get_metric_history(name, 'one/x')
  assert [(m.step, m.value) for m in history] == [(1, 2.0), (2, 4.0)]
  run = client.get_run(name)
  assert run.info.status == 'FINISHED'
  assert run.data.params == {'a': '1', 'b.c': '[1, 2]'}

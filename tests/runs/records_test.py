"""Records: rows, truncation, torn lines, settings."""

import json

import numpy as np
import pytest

from coalesce_jax.runs import records
from coalesce_jax.runs import workdir


def opened(path, **settings):
  return records.open_recorder(path, config={'a': 1}, **settings)


def test_rows_come_back_and_infinities_become_null(tmp_path):
  recorder = opened(tmp_path)
  recorder.log('one', 5, {'x': np.float32(1.5), 'y': np.array([1.0, np.nan])})
  assert recorder.rows('one') == [
    {'stage': 'one', 'step': 5, 'x': 1.5, 'y': [1.0, None]}
  ]
  assert recorder.rows('two') == []
  assert json.loads((tmp_path / 'config.json').read_text()) == {'a': 1}
  versions = json.loads((tmp_path / 'environment.json').read_text())['versions']
  assert 'jax' in versions and 'orbax-checkpoint' in versions


def test_truncation_removes_later_rows_of_one_stage(tmp_path):
  recorder = opened(tmp_path)
  for stage in ('one', 'two'):
    for step in (1, 2, 3):
      recorder.log(stage, step, {})
  recorder.truncate('one', 1)
  assert [r['step'] for r in recorder.rows('one')] == [1]
  assert [r['step'] for r in recorder.rows('two')] == [1, 2, 3]


def test_a_torn_last_line_is_passed_over(tmp_path):
  recorder = opened(tmp_path)
  recorder.log('one', 1, {'x': 1.0})
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"stage": "one", "st')
  assert len(recorder.rows('one')) == 1
  recorder.truncate('one', 1)
  recorder.log('one', 2, {})
  assert [r['step'] for r in recorder.rows('one')] == [1, 2]


def test_event_files_are_written_when_asked_for(tmp_path):
  recorder = opened(tmp_path, tensorboard=True)
  recorder.log('one', 1, {'x': np.array([1.0, 2.0])})
  recorder.close()
  events = list((tmp_path / 'tensorboard').iterdir())
  assert events and events[0].stat().st_size > 0


def test_a_folder_of_other_settings_is_refused(tmp_path):
  workdir.open_workspace(tmp_path, config={'steps': 3, 'b': (1, 2)})
  workdir.open_workspace(tmp_path, config={'steps': 3, 'b': [1, 2]})
  with pytest.raises(ValueError, match='steps: 3 before, 4 now'):
    workdir.open_workspace(tmp_path, config={'steps': 4, 'b': (1, 2)})


def test_an_unwritable_folder_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ValueError, match='not a writable folder'):
    workdir.open_workspace(tmp_path / 'file' / 'below', config={})


def test_clear_takes_the_parts_of_a_stage_and_no_other(tmp_path):
  work = workdir.open_workspace(tmp_path, config={})
  for name in ('barycenter', 'barycenter_1', 'barycenter_final', 'other'):
    (tmp_path / 'checkpoints' / name / '1').mkdir(parents=True)
  work.clear('barycenter')
  left = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
  assert left == ['barycenter_final', 'other']

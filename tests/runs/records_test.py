"""Records: rows, truncation, torn lines, settings."""

import json

import numpy as np

from coalesce_jax.runs import records


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

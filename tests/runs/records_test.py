"""Records: rows, truncation, torn lines, settings."""

import json
import resource
import sys
import threading

import numpy as np
import pytest

from coalesce_jax.core.write_errors import WriteError
from coalesce_jax.runs import records
from tests import locked


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


def test_the_first_command_of_a_folder_is_kept(tmp_path, monkeypatch):
  for argv, wanted in (
    (['/x/coalesce_jax/__main__.py', 'run', '--a=b c'],
     "coalesce run '--a=b c'"),
    (['/bin/coalesce', 'report'], "coalesce run '--a=b c'"),
  ):  # fmt: skip
    monkeypatch.setattr(sys, 'argv', argv)
    opened(tmp_path)
    kept = json.loads((tmp_path / 'environment.json').read_text())
    assert kept['command'] == wanted and kept['started'][:2] == '20'
  (tmp_path / 'environment.json').write_text('[')
  opened(tmp_path)
  kept = json.loads((tmp_path / 'environment.json').read_text())
  assert 'command' not in kept and 'jax' in kept['versions']


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


DAMAGED = [
  'null', '3', '[]', '{}', '{"stage": 3, "step": 1}', '{"step": 1}',
  '{"stage": "one"}', '{"stage": "one", "step": null}',
  '{"stage": "one", "step": true}', '{"stage": "one", "step": 1.0}',
  '[' * 100_000, '', '\x00',
]  # fmt: skip


def test_damaged_lines_are_passed_over_and_removed_by_a_resumed_run(tmp_path):
  recorder = opened(tmp_path)
  recorder.log('one', 1, {'x': 1.0})
  path = tmp_path / 'metrics.jsonl'
  whole = path.read_bytes()
  damaged = [text.encode() for text in DAMAGED] + [b'\xff\xfe']
  path.write_bytes(b'\n'.join(damaged) + b'\n' + whole)
  row = {'stage': 'one', 'step': 1, 'x': 1.0}
  assert recorder.rows('one') == recorder.rows(None) == [row]
  recorder.truncate('one', 1)
  assert path.read_bytes() == whole


def test_a_row_that_breaks_off_leaves_the_rows_before(tmp_path):
  recorder = opened(tmp_path)
  recorder.log('one', 1, {})
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
  try:
    with pytest.raises(WriteError, match='metrics.jsonl: File too large'):
      recorder.log('one', 2, {'x': np.zeros(100)})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  recorder.log('one', 2, {})
  assert [r['step'] for r in recorder.rows('one')] == [1, 2]


def test_rows_wait_for_another_process_that_changes_the_file(tmp_path):
  recorder = opened(tmp_path)
  other = locked.elsewhere(tmp_path / '.metrics.lock')
  waiting = threading.Thread(target=recorder.log, args=('one', 1, {}))
  waiting.start()
  waiting.join(0.3)
  assert recorder.rows('one') == []
  other.communicate()
  waiting.join()
  assert [r['step'] for r in recorder.rows('one')] == [1]


def test_event_files_are_written_when_asked_for(tmp_path):
  recorder = opened(tmp_path, track=['tensorboard'])
  recorder.log('one', 1, {'x': np.array([1.0, 2.0])})
  recorder.close()
  events = list((tmp_path / 'tensorboard').iterdir())
  assert events and events[0].stat().st_size > 0

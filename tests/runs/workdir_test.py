"""Work folders: settings, and the hooks between stages and what is kept."""

import hashlib
import io
import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.runs import workdir


def opened(path, **settings):
  return workdir.open_workspace(path, config={'a': 1}, **settings)


def test_a_folder_of_other_settings_is_refused(tmp_path):
  folder = tmp_path / 'new' / 'run'
  config = {'steps': 3, 'b': (1, 2), 'c': 0.5}
  work = workdir.open_workspace(folder, config=config)
  assert work.path == folder
  same = {'c': 0.5, 'b': [1, 2], 'steps': 3}
  workdir.open_workspace(folder, config=same)
  for changes, message in (
    ({'steps': 4}, 'steps: 3 before, 4 now'),
    ({'steps': 4, 'b': []}, r'b: \[1, 2\] before, \[\] now'),
    ({'z': 1}, 'z: None before, 1 now'),
  ):
    with pytest.raises(ValueError, match=message) as caught:
      workdir.open_workspace(folder, config=same | changes)
    assert str(caught.value).startswith(f'{folder}: holds a run with other')
  del same['c']
  with pytest.raises(ValueError, match='c: 0.5 before, None now'):
    workdir.check(folder, same)


def test_settings_have_one_hash_in_any_order():
  text = '{"a": [1, 2], "b": null}'
  expected = hashlib.sha256(text.encode()).hexdigest()
  assert workdir.config_hash({'b': np.inf, 'a': (1, 2)}) == expected
  assert workdir.config_hash({'b': 0.0, 'a': (1, 2)}) != expected


def test_settings_that_are_not_there_or_torn_are_no_others(tmp_path):
  expected = workdir.config_hash({'a': 1})
  assert workdir.check(tmp_path / 'nowhere', {'a': 1}) == expected
  assert not (tmp_path / 'nowhere').exists()
  (tmp_path / 'config.json').write_text('{"a": ')
  assert workdir.check(str(tmp_path), {'a': 1}) == expected
  opened(tmp_path)
  assert json.loads((tmp_path / 'config.json').read_text()) == {'a': 1}


def test_an_unwritable_folder_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ValueError, match='not a writable folder'):
    opened(tmp_path / 'file' / 'below')


def test_event_files_are_written_where_they_are_asked_for(tmp_path):
  for tensorboard in (False, True):
    work = opened(tmp_path, tensorboard=tensorboard)
    work.recorder.log('one', 1, {'x': 1.0})
    work.recorder.close()
    assert (tmp_path / 'tensorboard').is_dir() == tensorboard


def test_a_stage_resumes_and_forgets_what_came_after(tmp_path):
  hooks = opened(tmp_path).hooks(lambda stage, step, params: {'of': stage})
  one, other = hooks('one'), hooks('other')
  for stage in (one, other):
    for step in (1, 2, 3):
      stage.log(step, {'x': step})
      stage.observe(step, None)
  tree = {'w': jnp.arange(3.0)}
  one.save(2, tree)
  again = opened(tmp_path)
  step, found = again.hooks(None)('one').restore({'w': jnp.zeros(3)})
  assert step == 2
  np.testing.assert_array_equal(found['w'], tree['w'])
  rows = {
    name: [row['step'] for row in again.recorder.rows(name)]
    for name in ('one', 'one/curve', 'other', 'other/curve')
  }
  assert rows == {
    'one': [1, 2], 'one/curve': [1, 2],
    'other': [1, 2, 3], 'other/curve': [1, 2, 3],
  }  # fmt: skip
  # Without a checkpoint a stage starts anew.
  assert again.hooks(None)('other').restore(tree) is None
  assert {row['stage'] for row in again.recorder.rows(None)} == {
    'one', 'one/curve'
  }  # fmt: skip


def test_checkpoints_of_other_settings_are_refused(tmp_path):
  tree = {'w': jnp.zeros(1)}
  opened(tmp_path).hooks(None)('one').save(1, tree)
  (tmp_path / 'config.json').unlink()
  other = workdir.open_workspace(tmp_path, config={'a': 2})
  with pytest.raises(ValueError, match='other settings'):
    other.hooks(None)('one').restore(tree)


def test_parameters_are_evaluated_where_that_is_asked_for(tmp_path):
  work = opened(tmp_path)
  seen = []

  def evaluate(stage, step, params):
    seen.append((stage, step, params))
    return {'frechet': [1.5]}

  work.hooks(evaluate)('one').observe(7, 'params')
  assert seen == [('one', 7, 'params')]
  row = {'stage': 'one/curve', 'step': 7, 'frechet': [1.5]}
  assert work.recorder.rows(None) == [row]
  work.hooks(None)('one').observe(8, 'params')
  assert work.recorder.rows(None) == [row]


def test_metrics_and_stops_go_through(tmp_path):
  asked = []
  work = opened(tmp_path, stop=lambda: bool(asked))
  hooks = work.hooks(None)('one')
  assert not hooks.stop()
  asked.append(1)
  assert hooks.stop()
  hooks.log(4, {'x': 2.0})
  assert work.recorder.rows('one') == [{'stage': 'one', 'step': 4, 'x': 2.0}]
  assert not opened(tmp_path).hooks(None)('one').stop()


def test_a_stage_has_one_bar_of_progress(tmp_path, monkeypatch):
  screen = io.StringIO()
  monkeypatch.setattr(screen, 'isatty', lambda: True, raising=False)
  monkeypatch.setattr(sys, 'stderr', screen)
  one, other = (opened(tmp_path).hooks(None)(name) for name in ('one', 'two'))
  for step in (1, 2, 4):
    one.progress(step, 4)
    other.progress(step, 8)
  text = screen.getvalue()
  assert text.count('one:   0%') == text.count('two:   0%') == 1
  assert '| 0/4 ' in text and '| 0/8 ' in text


def test_clear_takes_the_parts_of_a_stage_and_no_other(tmp_path):
  work = opened(tmp_path)
  for name in 'node node_1 node_12 node_1_final nodes a_node nod'.split():
    (tmp_path / 'checkpoints' / name / '1').mkdir(parents=True)
  work.clear('node')
  left = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
  assert left == ['a_node', 'nod', 'node_1_final', 'nodes']
  # Names are no patterns.
  (tmp_path / 'checkpoints' / 'n.de' / '1').mkdir(parents=True)
  work.clear('n.d')
  work.clear('n.des')
  assert (tmp_path / 'checkpoints' / 'nodes').exists()

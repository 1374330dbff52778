"""Work folders: settings, and the hooks between stages and what is kept."""

import hashlib
import io
import json
import resource
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import write_errors
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


def test_a_setting_within_others_is_named_alone(tmp_path):
  config = {'adapt': {'steps': 3, 'rates': {'first': 1}}}
  workdir.open_workspace(tmp_path, config=config).close()
  config['adapt']['rates']['first'] = 2
  match = r'\(adapt\.rates\.first: 1 before, 2 now\)'
  with pytest.raises(ValueError, match=match):
    workdir.check(tmp_path, config)
  with pytest.raises(ValueError, match=r'adapt: \{.*\} before, 7 now'):
    workdir.check(tmp_path, {'adapt': 7})


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


@pytest.mark.parametrize(
  'name',
  ['metrics.jsonl', 'checkpoints', 'bundles', 'trials', 'scores.json',
   'summary.json', 'report.html', 'report.md', 'tables.md'],
)  # fmt: skip
@pytest.mark.parametrize('text', [None, '[]', '{"a": '])
def test_results_of_unknown_settings_are_left_alone(tmp_path, name, text):
  (tmp_path / name).write_text('kept')
  if text is not None:
    (tmp_path / 'config.json').write_text(text)
  fault = 'no config.json' if text is None else 'config.json: damaged'
  with pytest.raises(ValueError, match=f'{fault}.* settings {name} is'):
    opened(tmp_path)
  assert (tmp_path / name).read_text() == 'kept'
  assert not (tmp_path / 'environment.json').exists()


def test_a_folder_with_files_of_others_is_used(tmp_path):
  (tmp_path / 'a.png').write_text('')
  opened(tmp_path)
  assert workdir.settings(tmp_path) == {'a': 1}
  assert workdir.settings(tmp_path / 'nowhere') is None


@pytest.fixture(name='elsewhere')
def _elsewhere(tmp_path):
  """Another process that works in a folder: it holds the lock."""
  code = (
    'import fcntl, os, sys\n'
    'held = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)\n'
    'os.write(held, b"77 there\\n")\n'
    'kind = fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX\n'
    'fcntl.flock(held, kind); print(flush=True); sys.stdin.read()'
  )
  started = []

  def start(kind):
    started.append(
      subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path / '.lock'), kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
      )
    )  # fmt: skip
    started[-1].stdout.readline()
    return started[-1].communicate

  yield start
  for process in started:
    process.communicate()


def test_a_folder_in_which_another_process_works_is_refused(
  tmp_path, elsewhere
):
  with opened(tmp_path) as work:
    work.recorder.log('one', 1, {})
  unfinished = tmp_path / 'checkpoints' / 'one' / '4'
  unfinished.mkdir(parents=True)
  before = {p: p.stat().st_mtime_ns for p in tmp_path.glob('*.json*')}
  end = elsewhere('alone')
  for shared in (False, True):
    with pytest.raises(ValueError) as caught:
      opened(tmp_path, shared=shared)
    assert str(caught.value) == (
      f'{tmp_path} is in use by process 77 on there; wait until it ends, or '
      'stop it'
    )
  assert unfinished.is_dir()
  assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob('*.json*')}
  end()
  opened(tmp_path).close()
  end = elsewhere('shared')
  opened(tmp_path, shared=True).close()
  with pytest.raises(ValueError, match='in use by'):
    opened(tmp_path)
  end()
  # Whoever closes a folder, or is refused there, lets others work in it.
  with pytest.raises(ValueError, match='other settings'):
    workdir.open_workspace(tmp_path, config={'a': 2})
  with opened(tmp_path), opened(tmp_path):
    pass
  assert not (tmp_path / '.lock').exists()


@pytest.mark.parametrize('saved', [0, 2])
def test_what_a_full_disk_cuts_off_goes_on_from_what_was_saved(tmp_path, saved):
  hooks = opened(tmp_path).hooks(lambda *given: {'x': np.zeros(500)})('one')
  tree = {'w': jnp.arange(400.0)}
  if saved:
    hooks.save(saved, tree)
  elif hooks.restore(tree) is not None:
    raise AssertionError
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
  effects = {
    'metrics.jsonl': lambda: hooks.log(3, {'x': np.zeros(500)}),
    '.jsonl': lambda: hooks.observe(3, None),
    'checkpoints/one/3/state': lambda: hooks.save(3, tree),
  }
  try:
    for name, effect in effects.items():
      with pytest.raises(write_errors.WriteError) as caught:
        effect()
      text = str(caught.value)
      assert text.startswith(str(tmp_path)) and f'{name}: File too' in text
      assert text.endswith(
        f'run the same command again: it goes on from step {saved} of one'
      )
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  found = opened(tmp_path).hooks(None)('one').restore(tree)
  assert (found or (0,))[0] == saved


def test_an_unwritable_folder_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ValueError, match='not a writable folder'):
    opened(tmp_path / 'file' / 'below')


def test_event_files_are_written_where_they_are_asked_for(tmp_path):
  for track in ((), ('tensorboard',)):
    work = opened(tmp_path, track=track)
    work.recorder.log('one', 1, {'x': 1.0})
    work.recorder.close()
    assert (tmp_path / 'tensorboard').is_dir() == bool(track)


def test_a_stage_resumes_and_forgets_what_came_after(tmp_path):
  hooks = opened(tmp_path).hooks(lambda stage, step, params: {'of': stage})
  one, other = hooks('one'), hooks('other')
  for stage in (one, other):
    for step in (1, 2, 3):
      stage.log(step, {'x': step})
      stage.scored(step, np.float32(step))
      stage.observe(step, None)
  tree = {'w': jnp.arange(3.0)}
  one.save(2, tree)
  again = opened(tmp_path)
  step, found = again.hooks(None)('one').restore({'w': jnp.zeros(3)})
  assert step == 2
  np.testing.assert_array_equal(found['w'], tree['w'])
  rows = {
    name: [row['step'] for row in again.recorder.rows(name)]
    for name in ('one', 'one/curve', 'one/selection', 'other', 'other/curve')
  }
  assert rows == {
    'one': [1, 2], 'one/curve': [1, 2], 'one/selection': [1, 2],
    'other': [1, 2, 3], 'other/curve': [1, 2, 3],
  }  # fmt: skip
  # Without a checkpoint a stage starts anew.
  assert again.hooks(None)('other').restore(tree) is None
  assert {row['stage'] for row in again.recorder.rows(None)} == {
    'one', 'one/curve', 'one/selection'
  }  # fmt: skip


def test_checkpoints_of_other_settings_are_refused(tmp_path):
  tree = {'w': jnp.zeros(1)}
  opened(tmp_path).hooks(None)('one').save(1, tree)
  (tmp_path / 'config.json').write_text('{"a": 2}')
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
  assert text.count('one:  25%') == text.count('two:  12%') == 1
  assert '| 1/4 ' in text and '| 1/8 ' in text


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

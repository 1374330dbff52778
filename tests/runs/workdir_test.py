"""Work folders: other settings are refused, and the difference is named."""

import json

import pytest

from coalesce_jax.runs import workdir


def test_the_hash_of_settings_knows_no_order_and_every_value():
  one = workdir.config_hash({'a': 1, 'b': {'c': (2, 3)}})
  assert one == workdir.config_hash({'b': {'c': [2, 3]}, 'a': 1})
  assert one != workdir.config_hash({'b': {'c': [2, 4]}, 'a': 1})


def test_a_folder_of_other_settings_is_refused_by_name(tmp_path):
  settings = {'steps': 10, 'rate': 0.1}
  assert workdir.check(tmp_path, settings) == workdir.config_hash(settings)
  (tmp_path / 'config.json').write_text(json.dumps(settings))
  workdir.check(tmp_path, dict(reversed(settings.items())))
  with pytest.raises(ValueError, match='rate: 0.1 before, 0.2 now'):
    workdir.check(tmp_path, settings | {'rate': 0.2})
  # Settings that a killed run left half-written do not stand in the way.
  (tmp_path / 'config.json').write_text('{"steps"')
  workdir.check(tmp_path, settings | {'rate': 0.2})


def test_hooks_save_resume_and_clear_by_stage(tmp_path):
  work = workdir.open_workspace(tmp_path, config={'a': 1})
  hooks = work.hooks(lambda name, step, params: {'seen': params})('adapted')
  state = {'x': 1.5}
  hooks.log(2, {'w1': 0.5})
  hooks.observe(2, 3.0)
  hooks.save(2, state)
  hooks.log(4, {'w1': 0.25})
  again = workdir.open_workspace(tmp_path, config={'a': 1})
  step, found = again.hooks(None)('adapted').restore(state)
  assert step == 2 and float(found['x']) == 1.5
  # Rows beyond the step that is resumed are gone.
  assert [row['step'] for row in again.recorder.rows('adapted')] == [2]
  assert again.recorder.rows('adapted/curve')[0]['seen'] == 3.0
  again.clear('adapted')
  assert again.hooks(None)('adapted').restore(state) is None

"""run, report: bad configurations and folders."""

import pytest

from coalesce_jax.runs import workdir
from tests.cli import calls


@pytest.mark.parametrize(
  'argv,match',
  [
    (['run', '--workdir=x', '--config=nope.py'], 'nope.py'),
    (
      ['run', '--workdir=x', '--config=experiments/coalesce/configs/digits.py',
       '--config.adapt.stepz=3'],
      'stepz',
    ),
    (
      ['run', '--workdir=/proc/x',
       '--config=experiments/coalesce/configs/digits.py:quick'],
      '/proc/x',
    ),
    (['report', '--workdir=/nowhere'], 'no run'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)


def test_any_work_folder_is_reported(capsys, tmp_path):
  with workdir.open_workspace(tmp_path, config={'steps': 3}) as work:
    work.recorder.log('adapted', 3, {'w1': [0.5, 1.5]})
  argv = ['report', f'--workdir={tmp_path}']
  code, result, _ = calls.run(capsys, *argv)
  page = tmp_path / 'report.html'
  assert code == 0
  assert result == {'workdir': str(tmp_path), 'report': str(page)}
  assert '>0.5 1.5</td>' in page.read_text()
  # Settings that are no pipeline's, or no settings.
  (tmp_path / 'summary.json').write_text('{}')
  calls.refused(capsys, argv, 'config.json: damaged, or of no pipeline')
  (tmp_path / 'config.json').write_text('[]')
  calls.refused(capsys, argv, 'config.json: damaged')
  (tmp_path / 'trials').mkdir()
  calls.refused(capsys, argv, 'holds trials of an experiment')


@pytest.mark.parametrize(
  ('body', 'match'),
  [
    ('return {"seeds": 1}', 'is no ConfigDict'),
    ('return None', '--config'),
    ('import ml_collections; return ml_collections.ConfigDict()',
     'no field adapt in the configuration; start from'),
    ('import sys; sys.exit("bye")', '--config: bye'),
    ('raise SystemExit', '--config: SystemExit'),
    ('import no_such_module', 'no_such_module'),
  ],
)  # fmt: skip
def test_a_configuration_that_is_none_is_refused(capsys, tmp_path, body, match):
  (tmp_path / 'mine.py').write_text(f'def get_config():\n  {body}\n')
  argv = ['run', f'--config={tmp_path}/mine.py', f'--workdir={tmp_path}/work']
  calls.refused(capsys, argv, match)
  assert not (tmp_path / 'work').exists()

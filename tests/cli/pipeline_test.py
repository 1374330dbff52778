"""run, report: bad configurations and folders."""

import pytest

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
    (['report', '--workdir=/nowhere'], 'no finished run'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)

"""The command line of the feature networks."""

import pytest

from experiments.features import main

CONFIG = '--config=experiments/features/configs/default.py'


@pytest.mark.parametrize(
  ('argv', 'match'),
  [
    ([CONFIG], '--workdir is missing'),
    ([CONFIG, '--workdir=x', '--list'], "Unknown command line flag 'list'"),
    ([CONFIG, '--workdir='], 'the path is empty'),
    (['--config=nope.py', '--workdir=x'], "'nope.py'"),
    ([f'{CONFIG}:nope', '--workdir=x'], "'nope' is not one of"),
  ],
)
def test_bad_usage_is_one_line(capsys, monkeypatch, argv, match):
  monkeypatch.setattr('sys.argv', ['features', *argv])
  assert main.main(argv) == 2
  found = capsys.readouterr()
  assert match in found.err.splitlines()[-1] and not found.out
  assert found.err.splitlines()[-1].startswith('features: ')

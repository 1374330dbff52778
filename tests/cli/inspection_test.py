"""sample, evaluate, data."""

import pytest

from tests.cli import calls


def test_features_are_trained_on_labelled_images_and_kept(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  a = calls.node(tmp_path / 'a.safetensors')
  (tmp_path / 'mine').mkdir()
  for name in ('one', 'two'):
    calls.folder(tmp_path / 'mine' / name)
  local = calls.folder(tmp_path / 'held_out', count=20)
  argv = ['evaluate', f'--node={a}', f'--images={local}']
  code, scores, _ = calls.run(capsys, *argv, f'--labelled={tmp_path / "mine"}')
  assert code == 0 and scores['features'].startswith('own64-')
  assert len(list((tmp_path / 'cache').rglob('features-*.npz'))) == 1
  code, _, error = calls.run(capsys, *argv, f'--labelled={local}')
  assert code == 2 and 'no labels' in error


def test_a_data_set_is_described(capsys):
  code, summary, _ = calls.run(capsys, 'data', '--dataset=digits')
  assert code == 0 and sum(summary['train']['classes']) == 1442


@pytest.mark.parametrize(
  'argv,match',
  [
    (['sample', '--node=a', '--out=b', '--n=x'], 'n'),
    (['sample', '--node=/nowhere/a', '--out=b'], 'no such file'),
    (['data', '--dataset=nope'], 'nope'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)

"""The report of a run: its table, its pictures, both of its files."""

import base64
import html
import re
import struct

import numpy as np
import pytest

from coalesce_jax.runs import report
from coalesce_jax.runs import workdir

GRIDS = {'real': np.zeros((4, 2, 2, 1), np.uint8)}
ROWS = {
  'adapted': {
    'frechet': [1.0, 2.0, 4.0],
    'precision': [0.5, 0.5, 0.5],
    'parameters': [1234567],
    'real': [0.5, 1.5],
    'w1_real': [0.25, 0.25],
  },
  'node_0': {'frechet': [5.0], 'w1': [2.0], 'real': [9.0], 'w1_real': [9.0]},
}
RECORDS = [
  {'stage': 'adapted/time', 'step': 0, 'seconds': 61.4},
  {'stage': 'pretrain/time', 'step': 0, 'seconds': 1000.0},
  {'stage': 'adapted/curve', 'step': 1, 'frechet': [3.0, 4.0, 5.0]},
  {
    'stage': 'barycenter', 'step': 1, 'w1_smooth': [[1.0, 1.0]],
    'position': [0.5], 'residual': [0.1], 'distance': [2.0],
  },
]  # fmt: skip

CAPTIONS = {
  'samples': 'Samples',
  'adaptation': 'a & b on',
  'distances': 'Distance',
}


def write(folder, rows=None, **changes):
  given = {
    'title': 'A <title>', 'grids': GRIDS, 'records': RECORDS, 'label': 'a & b',
    'config': {'z': '<1>', 'a': 2},
  } | changes  # fmt: skip
  rows = ROWS if rows is None else rows
  copies = {name: dict(row) for name, row in rows.items()}
  return report.write(folder, rows=copies, **given)


@pytest.fixture(scope='module', name='made')
def _made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('report')
  return folder, write(folder)


def test_both_files_and_the_pictures_are_written(made):
  folder, paths = made
  assert paths == {
    'html': str(folder / 'report.html'), 'markdown': str(folder / 'report.md')
  }  # fmt: skip
  found = {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()}
  pictures = {f'figures/{name}.png' for name in CAPTIONS}
  assert found == {'report.html', 'report.md'} | pictures
  data = (folder / 'figures' / 'samples.png').read_bytes()
  assert data.startswith(b'\x89PNG')
  # 3.2 by 3.4 inches of 110 pixels; nothing says what drew it and when.
  assert struct.unpack('>II', data[16:24]) == (352, 374)
  assert b'Software' not in data


def test_the_table_has_means_and_deviations(made):
  folder, _ = made
  table = [
    line for line in (folder / 'report.md').read_text().splitlines()
    if line.startswith('|')
  ]  # fmt: skip
  # The deviation of 1, 2, 4 is the root of 7 / 3; equal values have none.
  assert table == [
    '| method | Frechet | W1 | precision | parameters | seconds |',
    '|---|---:|---:|---:|---:|---:|',
    '| adapted | 2.33 ± 1.53 |  | 0.500 | 1,234,567 | 61 |',
    '| node 0 | 5.00 | 2.00 |  |  | 1,000 |',
    '| real | 1.00 ± 0.71 | 0.25 |  |  |  |',
  ]


def test_numbers_of_things_have_no_deviation(tmp_path):
  rows = {'a': {'bytes': [10, 20], 'real': [1.0], 'w1_real': [1.0]}}
  write(tmp_path, rows, records=[])
  assert '| a | 15 |' in (tmp_path / 'report.md').read_text()


def test_without_rows_or_curves_only_samples_are_shown(tmp_path):
  write(tmp_path, {}, records=[])
  text = (tmp_path / 'report.md').read_text()
  assert '| method |\n|---|\n' in text and '| real' not in text
  assert [p.name for p in (tmp_path / 'figures').iterdir()] == ['samples.png']
  assert 'adaptation' not in text


def test_the_markdown_refers_to_its_pictures(made):
  folder, _ = made
  text = (folder / 'report.md').read_text()
  lines = text.splitlines()
  assert lines[0] == '# A <title>' and lines[2] == 'Score: `a & b`.'
  for name, caption in CAPTIONS.items():
    at = lines.index(f'![{name}](figures/{name}.png)')
    assert lines[at + 2].startswith(caption)
    assert lines[at - 1] == lines[at + 1] == ''
  assert text.endswith(report.NOTES)


def test_the_page_holds_its_pictures(made):
  folder, _ = made
  page = (folder / 'report.html').read_text()
  pictures = re.findall(
    r'<img alt="(\w+)" src="data:image/png;base64,([^"]+)"><figcaption>(.*?)</',
    page,
  )
  assert [name for name, _, _ in pictures] == [*CAPTIONS]
  for name, data, caption in pictures:
    assert html.unescape(caption).startswith(CAPTIONS[name])
    picture = (folder / 'figures' / f'{name}.png').read_bytes()
    assert base64.b64decode(data) == picture
  assert 'src="figures' not in page


def test_the_page_escapes_what_users_wrote(made):
  folder, _ = made
  page = (folder / 'report.html').read_text()
  assert '<title>A &lt;title&gt;</title>' in page
  assert '<h1>A &lt;title&gt;</h1>' in page
  assert '<code>a &amp; b</code>' in page and 'a & b' not in page
  # Settings in the order of their names.
  assert '<tr><td>a</td><td>2</td></tr><tr><td>z</td><td>&lt;1&gt;</td>' in page
  assert '<th>method</th><th>Frechet</th>' in page
  assert '<tr><td>node 0</td><td>5.00</td><td>2.00</td>' in page
  assert page.count('<th>method') == 1 and '<td>method' not in page


def test_a_report_is_the_same_when_written_again(made, tmp_path):
  folder, _ = made
  write(tmp_path)
  for name in ('report.md', 'report.html'):
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


METRICS = [
  {'stage': 'pretrain', 'step': 5, 'w1': [[1.0], [2.5]]},
  {'stage': 'adapted', 'step': 5, 'objective': 3.25, 'w1': [0.5, None]},
  {'stage': 'adapted', 'step': 10, 'objective': 0.123456, 'w1': [1, 1e-5]},
  {'stage': 'a/b/curve', 'step': 1, 'frechet': 2.0},
  {'stage': 'adapted/time', 'step': 0, 'seconds': 3.0},
]


def test_any_work_folder_is_reported(tmp_path):
  folder = tmp_path / 'run'
  with workdir.open_workspace(folder, config={'z': '<1>', 'a': 2}) as work:
    for row in METRICS:
      row = dict(row)
      work.recorder.log(row.pop('stage'), row.pop('step'), row)
  paths = report.write_folder(str(folder))
  assert paths == {
    'html': str(folder / 'report.html'), 'markdown': str(folder / 'report.md')
  }  # fmt: skip
  text = (folder / 'report.md').read_text()
  lines = text.splitlines()
  assert lines[0] == '# run' and lines[2] == f'Work folder: `{folder}`.'
  assert lines[4:9] == [
    '| stage | step | w1 | objective | frechet |',
    '|---|---:|---:|---:|---:|',
    '| pretrain | 5 | 1 2.5 |  |  |',
    '| adapted | 10 | 1 1e-05 | 0.1235 |  |',
    '| a/b/curve | 1 |  |  | 2 |',
  ]
  assert text.endswith(report.METRICS)
  pictures = ['pretrain', 'adapted', 'a_b_curve']
  for name in pictures:
    assert f'![{name}](figures/{name}.png)' in lines
  assert 'Metrics of a/b/curve against generator steps.' in lines
  found = sorted(p.stem for p in (folder / 'figures').iterdir())
  assert found == sorted(pictures)
  page = (folder / 'report.html').read_text()
  assert page.count('data:image/png;base64,') == 3
  settings, environment = page.split('<summary>')[1:]
  assert '<td>z</td><td>&lt;1&gt;</td>' in settings
  assert '<td>python</td>' in environment


def test_a_report_needs_no_rows_and_no_environment_that_is_whole(tmp_path):
  workdir.open_workspace(tmp_path, config={'a': 2}).close()
  (tmp_path / 'environment.json').write_text('[')
  report.write_folder(tmp_path)
  text = (tmp_path / 'report.md').read_text()
  assert '| stage |\n|---|\n' in text and 'figures' not in text


def test_folders_without_a_run_are_refused(tmp_path):
  for folder in (tmp_path, tmp_path / 'nowhere', '/proc'):
    with pytest.raises(ValueError, match=f'{folder}: no run'):
      report.write_folder(folder)
  (tmp_path / 'config.json').write_text('{"of": "others"}')
  with pytest.raises(ValueError, match='no run'):
    report.write_folder(tmp_path)
  (tmp_path / 'metrics.jsonl').write_text('')
  (tmp_path / 'config.json').write_text('[')
  with pytest.raises(ValueError, match='config.json: damaged'):
    report.write_folder(tmp_path)
  (tmp_path / 'trials').mkdir()
  with pytest.raises(ValueError) as caught:
    report.write_folder(tmp_path)
  assert str(caught.value) == (
    f'{tmp_path}: holds trials of an experiment; `python -m '
    f'experiments.NAME.main --workdir={tmp_path} --report` reports them'
  )


def test_a_time_that_is_damaged_is_left_out(tmp_path):
  records = [{'stage': 'adapted/time', 'step': 0, 'seconds': 'x'}, *RECORDS[1:]]
  write(tmp_path, records=records[:2])
  assert (
    '| adapted | 2.33 ± 1.53 |  | 0.500 | 1,234,567 |  |'
    in (tmp_path / 'report.md').read_text()
  )


def test_what_is_not_defined_is_left_out(tmp_path):
  rows = {
    'adapted': {
      'frechet': [1.0, 2.0], 'memorisation': [0.5, None],
      'copied': [None, None], 'real': [0.5, 0.5], 'w1_real': [0.25, 0.25],
    },
  }  # fmt: skip
  nowhere = {
    'stage': 'barycenter', 'step': 2, 'w1_smooth': [[-1.0, 0.0]],
    'position': [None], 'residual': [0.1], 'distance': [2.0],
  }  # fmt: skip
  paths = write(tmp_path, rows, records=[*RECORDS, nowhere])
  with open(paths['markdown']) as file:
    text = file.read()
  assert '0.500' in text and 'nan' not in text.lower()

"""The report of a run: its table, its pictures, both of its files."""

import base64
import html
import json
import re
import struct

import numpy as np
import pytest

from coalesce_jax.runs import columns
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

STAGE = 'stage_barycenter'
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
  pictures = {f'figures/{name}.png' for name in (*CAPTIONS, STAGE)}
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
    '| adapted | **2.33** ± 1.53 |  | 0.500 | 1,234,567 | 61 |',
    '| node 0 | 5.00 | 2.00 |  |  | 1,000 |',
    '| real | 1.00 ± 0.71 | 0.25 |  |  |  |',
  ]


def test_the_page_marks_the_best_and_explains_its_words(made):
  folder, _ = made
  page = (folder / 'report.html').read_text()
  assert (
    '<td class="best" data-label="Frechet"><span><b title="best of the column">'
    '2.33</b><small> ± 1.53</small></span></td>'
  ) in page
  assert page.count('class="best"') == 1
  assert '<td data-label="W1">2.00</td>' in page
  assert '<td class="empty" data-label="W1"></td>' in page
  for words in ('Frechet', 'W1', 'node 0', 'adapted', 'real'):
    meaning = columns.meaning(words) or next(
      c.meaning for c in columns.COLUMNS if c.heading == words
    )
    meaning = html.escape(meaning)
    assert f'<abbr title="{meaning}">{words}</abbr>' in page
    assert f'<dt>{words}</dt><dd>{meaning}</dd>' in page


def test_columns_are_best_at_their_own_end_and_not_where_all_are_equal(
  tmp_path,
):
  real = {'real': [1.0], 'w1_real': [1.0]}
  rows = {
    'a': {'frechet': [1.0], 'recall': [0.25], 'kid': [3.0], 'copied': [0.1]},
    'b': {'frechet': [2.0], 'recall': [0.75], 'kid': [3.0], 'copied': [0.2]},
  }
  write(tmp_path, {name: row | real for name, row in rows.items()}, records=[])
  text = (tmp_path / 'report.md').read_text()
  assert '| a | **1.00** | 3.000 | 0.250 | 0.100 |' in text
  assert '| b | 2.00 | 3.000 | **0.750** | 0.200 |' in text


def test_the_report_says_what_was_run_and_leads_to_its_files(tmp_path):
  (tmp_path / 'bundles').mkdir()
  (tmp_path / 'bundles' / 'a b_s0.safetensors').write_bytes(b'x' * 1234)
  (tmp_path / 'scores.json').write_text('{}')
  (tmp_path / 'environment.json').write_text(json.dumps({
    'command': 'coalesce run --config=a.py', 'platform': 'Linux', 'cores': 2,
    'device': 'cpu cpu', 'started': '2026-01-01', 'versions': {'jax': '1.2'},
  }))  # fmt: skip
  write(tmp_path)
  page = (tmp_path / 'report.html').read_text()
  for name, text in (
    ('command', 'coalesce run --config=a.py'), ('started', '2026-01-01'),
    ('training', '1,061 seconds'), ('versions', 'jax 1.2'),
    ('machine', 'Linux, cpu cpu, 2 cores'),
  ):  # fmt: skip
    assert f'<dt>{name}</dt><dd>{text}</dd>' in page
  links = re.findall(r'<a href="(.*?)">', page)
  assert links == [
    'bundles/a%20b_s0.safetensors', 'scores.json', 'environment.json'
  ]  # fmt: skip
  assert 'bundle of 1,234 bytes' in page


def test_the_results_beside_a_work_folder_are_linked(tmp_path):
  (tmp_path / 'edge.safetensors').write_bytes(b'x')
  folder = tmp_path / 'edge.safetensors.run'
  config = {'out': str(tmp_path / 'edge.safetensors')}
  with workdir.open_workspace(folder, config=config) as work:
    for step, w1 in ((5, [1.0, 3.0]), (10, [0.25, 0.75])):
      work.recorder.log('adapted', step, {'w1_smooth': w1})
  report.write_folder(folder)
  page = (folder / 'report.html').read_text()
  assert '<a href="../edge.safetensors">' in page
  assert (
    'The last record is step 10 of adapted. The distance that its critics '
    'estimate went from 2 at step 5 to 0.5 at step 10.'
  ) in page


def test_numbers_of_things_have_no_deviation(tmp_path):
  rows = {'a': {'bytes': [10, 20], 'real': [1.0], 'w1_real': [1.0]}}
  write(tmp_path, rows, records=[])
  assert '| a | 15 |' in (tmp_path / 'report.md').read_text()


def test_without_rows_or_curves_only_samples_are_shown(tmp_path):
  write(tmp_path, {}, records=[])
  text = (tmp_path / 'report.md').read_text()
  assert '| method |\n|---|\n' in text and '| real' not in text
  assert 'edge method' not in text
  assert [p.name for p in (tmp_path / 'figures').iterdir()] == ['samples.png']
  assert 'adaptation' not in text


def test_the_markdown_refers_to_its_pictures(made):
  folder, _ = made
  text = (folder / 'report.md').read_text()
  lines = text.splitlines()
  assert lines[0] == '# A <title>' and lines[4] == 'Score: `a & b`.'
  assert lines[2].startswith('The edge method is ahead: adapted has a')
  for name, caption in CAPTIONS.items():
    at = lines.index(f'![{name}](figures/{name}.png)')
    assert lines[at + 2].startswith(caption)
    assert lines[at - 1] == lines[at + 1] == ''
  assert columns.MARKED in text
  assert text.splitlines()[-1] == f'* real: {columns.METHODS["real"]}'


def test_the_page_holds_its_pictures(made):
  folder, _ = made
  page = (folder / 'report.html').read_text()
  pictures = re.findall(
    r'<img alt="(\w+)" src="data:image/png;base64,([^"]+)"></summary></details>'
    '<figcaption>(.*?)</',
    page,
  )
  assert [name for name, _, _ in pictures] == [
    'adaptation', 'distances', STAGE
  ]  # fmt: skip
  for name, data, caption in pictures:
    wanted = CAPTIONS.get(name, 'Metrics of barycenter against')
    assert html.unescape(caption).startswith(wanted)
    picture = (folder / 'figures' / f'{name}.png').read_bytes()
    assert base64.b64decode(data) == picture
  assert 'src="figures' not in page and '<script' not in page
  # Samples are shown a pixel a pixel: 2 by 2 images of 2 pixels, 3 gaps.
  (data,) = re.findall(r'<img alt="real" src="data:image/png;base64,(.*?)"',
                       page)  # fmt: skip
  assert struct.unpack('>II', base64.b64decode(data)[16:24]) == (7, 7)


def test_the_page_escapes_what_users_wrote(made):
  folder, _ = made
  page = (folder / 'report.html').read_text()
  assert '<title>A &lt;title&gt;</title>' in page
  assert '<h1>A &lt;title&gt;</h1>' in page
  assert '<code>a &amp; b</code>' in page and 'a & b' not in page
  # Settings in the order of their names.
  assert '<tr><td>a</td><td>2</td></tr><tr><td>z</td><td>&lt;1&gt;</td>' in page
  assert page.count('>method</th>') == 1 and '<td>method' not in page


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
  assert lines[0] == '# run' and lines[4] == f'Work folder: `{folder}`.'
  assert lines[2] == 'The last record is step 1 of a/b/curve.'
  assert lines[6:11] == [
    '| stage | step | w1 | objective | frechet |',
    '|---|---:|---:|---:|---:|',
    '| pretrain | 5 | 1 2.5 |  |  |',
    '| adapted | 10 | 1 1e-05 | 0.1235 |  |',
    '| a/b/curve | 1 |  |  | 2 |',
  ]
  assert text.rstrip().endswith(report.METRICS.rstrip())
  pictures = ['pretrain', 'adapted', 'a_b_curve']
  for name in pictures:
    assert f'![{name}](figures/{name}.png)' in lines
  assert 'Metrics of a/b/curve against generator steps.' in lines
  found = sorted(p.stem for p in (folder / 'figures').iterdir())
  assert found == sorted(pictures)
  page = (folder / 'report.html').read_text()
  assert page.count('data:image/png;base64,') == 3
  settings, environment = page.split('<details class="plain">')[1:]
  assert '<td>z</td><td>&lt;1&gt;</td>' in settings
  assert '<td>python</td>' in environment


def test_a_report_needs_no_rows_and_no_environment_that_is_whole(tmp_path):
  workdir.open_workspace(tmp_path, config={'a': 2}).close()
  (tmp_path / 'environment.json').write_text('[')
  report.write_folder(tmp_path)
  text = (tmp_path / 'report.md').read_text()
  assert '| stage |\n|---|\n' in text and 'figures' not in text
  assert 'No stage has recorded metrics yet.' in text


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
    '| adapted | **2.33** ± 1.53 |  | 0.500 | 1,234,567 |'
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

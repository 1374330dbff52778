"""Pages of results: their parts, and numbers that follow from their runs."""

import json
import pathlib
import re

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'results'
PAGES = sorted(p for p in FOLDER.glob('*.md') if p.stem != 'index')
_NUMBER = r'-?\d[\d,]*(?:\.\d+)?'


def tables(text):
  """Cells of the tables of a page, row by row, with those of headings."""
  return [
    cell.strip()
    for line in text.splitlines()
    if line.startswith('|') and not re.fullmatch(r'\|[-:| ]+\|', line)
    for cell in line.strip('|').split('|')
  ]


def lists(value):
  """All lists of numbers in a JSON value, and all numbers."""
  if isinstance(value, dict):
    for inner in value.values():
      yield from lists(inner)
  elif isinstance(value, list):
    if value and all(isinstance(v, int | float) for v in value):
      yield value
    for inner in value:
      yield from lists(inner)
  elif isinstance(value, int | float) and not isinstance(value, bool):
    yield [value]


def known(text, root):
  """Values that the JSON files of a page hold, and `mean, deviation` pairs."""
  single, pairs = [], []
  for link in re.findall(r'\]\(([\w/]+\.json)\)', text):
    if link.endswith(('summary.json', 'scores.json')):
      for row in lists(json.loads((root / link).read_text('utf8'))):
        if len(row) > 1:
          pairs.append((np.mean(row), np.std(row, ddof=1)))
        single += row
  return np.array(single, float), np.array(pairs, float).reshape(-1, 2)


def follows(cell, single, pairs):
  """Whether a cell of a table is text, or follows from the values."""
  spread = re.fullmatch(rf'({_NUMBER}) ± ({_NUMBER})', cell)
  if spread:
    wanted = [float(n.replace(',', '')) for n in spread.groups()]
    digits = len(spread[1].partition('.')[2])
    step = 0.5 * 10.0**-digits + 1e-9
    return bool(np.any(np.all(np.abs(pairs - wanted) <= step, axis=1)))
  if re.fullmatch(_NUMBER, cell):
    wanted = float(cell.replace(',', ''))
    step = 0.5 * 10.0 ** -len(cell.partition('.')[2]) + 1e-9
    # A percentage stands in the files as a fraction.
    return any(np.any(np.abs(k * single - wanted) <= step) for k in (1, 100))
  return '±' not in cell


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.stem)
def test_a_page_has_claim_figure_table_command_and_limits(path):
  text = path.read_text('utf8')
  assert len(re.findall(r'^\*\*Claim\.\*\* ', text, re.M)) == 1
  assert len(re.findall(r'^!\[[^\]]+\]\(\S+\.png\)$', text, re.M)) == 1
  assert len(re.findall(r'^\|[-:| ]+\|$', text, re.M)) == 1
  assert re.search(r'## Reproduce it\n\n```console\n', text)
  assert re.search(r'## What does not hold\n\n\* ', text)
  assert re.search(r'^Evidence: .*environment\.json.*\.\./lab/', text, re.M)


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.stem)
def test_numbers_of_a_table_follow_from_the_run(path):
  text = path.read_text('utf8')
  values = known(text, FOLDER)
  wrong = [cell for cell in tables(text) if not follows(cell, *values)]
  assert not wrong


def test_a_number_that_does_not_follow_is_found():
  single, pairs = np.array([0.25, 7.0]), np.array([[1.5, 0.5]])
  assert follows('1.5 ± 0.5', single, pairs) and follows('25', single, pairs)
  assert follows('7.00', single, pairs) and follows('text', single, pairs)
  assert not follows('1.5 ± 0.4', single, pairs)
  assert not follows('1.4 ± 0.5', single, pairs)
  assert not follows('7.01', single, pairs)
  assert not follows('about 1 ± 1', single, pairs)


def test_the_index_lists_every_page():
  text = (FOLDER / 'index.md').read_text('utf8')
  assert sorted(re.findall(r'\]\((\w+)\.md\)', text)) == [
    path.stem for path in PAGES
  ]


def test_a_page_of_the_lab_book_is_marked_and_names_what_follows():
  pages = [p for p in FOLDER.parent.glob('lab/*.md') if p.stem != 'index']
  assert len(pages) > 5
  for path in pages:
    title, _, mark = path.read_text('utf8').splitlines()[:3]
    assert title.startswith('# ') and mark.startswith('> **Lab book.** '), path
    assert '](../results/' in mark, path

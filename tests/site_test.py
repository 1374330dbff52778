"""Extensions of the documentation site: formulas, and pages without network."""

import importlib.util
import pathlib
from xml.etree import ElementTree

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'extensions'


def extension(name):
  pytest.importorskip('sphinx')
  pytest.importorskip('latex2mathml')
  path = FOLDER / f'{name}.py'
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def tags(text):
  """Names of the elements of a formula, and of their texts."""
  root = ElementTree.fromstring(text)
  return [
    (e.tag.rpartition('}')[2], (e.text or '').strip()) for e in root.iter()
  ]


def test_a_formula_becomes_mathml_that_is_ascii():
  text = extension('mathml').convert(r'W_1(\mu, \nu)^2')
  assert text.isascii()
  found = tags(text)
  assert found[0] == ('math', '')
  for wanted in [('mi', 'W'), ('mn', '1'), ('mi', '\u03bc'), ('mi', '\u03bd')]:
    assert wanted in found
  assert ('msub', '') in found and ('msup', '') in found


def test_limits_of_a_displayed_minimum_stand_below_it():
  convert = extension('mathml').convert
  assert 'munder' not in dict(tags(convert(r'\min_x f')))
  names = dict(tags(convert(r'\min_x \sum_k^n f_k', display=True)))
  assert 'munder' in names and 'munderover' in names and 'msub' in names


def test_lines_of_a_displayed_formula_are_rows():
  found = tags(extension('mathml').convert(r'a &= b \\ c &= d', display=True))
  assert [name for name, _ in found].count('mtr') == 2


def test_a_formula_that_is_not_known_is_an_error():
  convert = extension('mathml').convert
  for latex in (r'\nosuch x', r'a & b'):
    with pytest.raises(ValueError, match='formula'):
      convert(latex)


def test_the_font_of_formulas_has_a_table_for_mathematics():
  ttlib = pytest.importorskip('fontTools.ttLib')
  pytest.importorskip('ziamath')
  assert 'MATH' in ttlib.TTFont(extension('mathml').font())


def test_what_a_page_loads_from_elsewhere_is_found():
  page = """
  <link rel="stylesheet" href="https://a.example/a.css">
  <link rel="icon" href="_static/icon.png">
  <script src="//b.example/b.js"></script> <img src="_images/c.png">
  <a href="https://d.example/">a link to follow</a>
  <IMG SRC='http://e.example/e.png'>
  """
  assert extension('offline').foreign(page) == [
    'https://a.example/a.css', '//b.example/b.js', 'http://e.example/e.png',
  ]  # fmt: skip

"""Writes formulas as MathML, which browsers show without scripts or network.

The font of the formulas, STIX Two Math, comes with the package ziamath. A
formula that the converter does not know is a warning, so that `make docs`
fails instead of showing its source.
"""

import importlib.util
import pathlib
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml import converter
from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)
_SPACE = 'http://www.w3.org/1998/Math/MathML'
# In a displayed formula the limits of these stand below and above them.
_LIMITS = {'max', 'min', '\u2211'}
_WITH_LIMITS = {'msub': 'munder', 'msup': 'mover', 'msubsup': 'munderover'}


def convert(latex: str, display: bool = False) -> str:
  """Converts a formula from LaTeX to a `math` element.

  Args:
    latex: formula without dollar signs. Several lines are aligned at `&`.
    display: whether the formula stands on lines of its own.

  Returns:
    The element as text, in ASCII.

  Raises:
    ValueError: a command of the formula is not known.
  """
  latex = latex.strip()
  if display and re.search(r'\\\\|&', latex):
    latex = rf'\begin{{align*}}{latex}\end{{align*}}'
  try:
    text = converter.convert(latex, display='block' if display else 'inline')
    root = ElementTree.fromstring(text)
  except Exception as error:
    raise ValueError(f'formula {latex!r}: {error!r}') from error
  for element in root.iter():
    if (element.text or '').startswith('\\'):
      raise ValueError(f'formula {latex!r}: {element.text} is not known')
    name = element.tag.rpartition('}')[2]
    if display and name in _WITH_LIMITS and element[0].text in _LIMITS:
      element.tag = f'{{{_SPACE}}}{_WITH_LIMITS[name]}'
  ElementTree.register_namespace('', _SPACE)
  return (
    ElementTree.tostring(root, encoding='unicode')
    .encode('ascii', 'xmlcharrefreplace')
    .decode()
  )


def font() -> pathlib.Path:
  """Returns the path of the font, which is copied to the site."""
  found = importlib.util.find_spec('ziamath')
  if found is None or found.origin is None:
    raise ValueError("the package ziamath is missing: pip install -e '.[docs]'")
  return pathlib.Path(found.origin).parent / 'fonts/STIXTwoMath-Regular.ttf'


def _write(writer: Any, node: nodes.Element, display: bool) -> None:
  try:
    text = convert(node.astext(), display)
  except ValueError as error:
    _LOGGER.warning('%s', error, location=node)
    raise nodes.SkipNode from error
  if display:
    text = f'<div class="math">{text}</div>'
  writer.body.append(text)
  raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
  """Registers the extension with Sphinx."""
  app.add_html_math_renderer(
    'mathml',
    (lambda writer, node: _write(writer, node, False), None),
    (lambda writer, node: _write(writer, node, True), None),
  )
  app.connect(
    'config-inited',
    lambda app, config: config.html_static_path.append(str(font())),
  )
  return {'parallel_read_safe': True, 'parallel_write_safe': True}

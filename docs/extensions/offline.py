"""Checks that pages of the site load nothing from the network.

A link that a reader may follow is allowed. A script, style sheet, picture or
frame from another place is a warning, so that `make docs` fails.
"""

import html.parser
import pathlib
from typing import Any

from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)
# Attributes that make a browser load an address, by tag; '' of any tag.
_LOADED = {'': ('src', 'srcset', 'poster'), 'link': ('href',)}


class _Loads(html.parser.HTMLParser):
  """Collects the addresses that a page loads."""

  def __init__(self) -> None:
    super().__init__()
    self.found: list[str] = []

  def handle_starttag(
    self, tag: str, attrs: list[tuple[str, str | None]]
  ) -> None:
    names = (*_LOADED[''], *_LOADED.get(tag, ()))
    self.found += [value for name, value in attrs if name in names and value]


def foreign(page: str) -> list[str]:
  """Returns the addresses outside the site that a page of HTML loads."""
  loads = _Loads()
  loads.feed(page)
  return [
    address
    for address in loads.found
    if address.startswith(('http:', 'https:', '//'))
  ]


def setup(app: Any) -> dict[str, bool]:
  """Registers the extension with Sphinx."""

  def check(app: Any, error: Exception | None) -> None:
    if error or app.builder.format != 'html':
      return
    for path in sorted(pathlib.Path(app.outdir).rglob('*.html')):
      for address in foreign(path.read_text('utf8')):
        _LOGGER.warning('%s loads %s', path.relative_to(app.outdir), address)

  app.connect('build-finished', check)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}

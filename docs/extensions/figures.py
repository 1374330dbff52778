"""Lets a reader open the figures of results at their full size.

A figure fills the width of the text and is a link to its file.
"""

from typing import Any

from docutils import nodes


def setup(app: Any) -> dict[str, bool]:
  """Registers the extension with Sphinx."""

  def widen(app: Any, doctree: nodes.document) -> None:
    del app
    for image in doctree.findall(nodes.image):
      if image['uri'].startswith('results/'):
        # Sphinx makes links of pictures that have a width.
        image['width'] = '100%'

  app.connect('doctree-read', widen)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}

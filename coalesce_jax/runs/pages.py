"""Writes a report as HTML and as Markdown.

The HTML file contains its pictures and needs no other file. The Markdown file
refers to the PNG files in `figures`.
"""

import base64
from collections.abc import Callable
import html
import io
import pathlib
from typing import Any, NamedTuple

import matplotlib
from matplotlib import figure

from coalesce_jax.core import files


class Contents(NamedTuple):
  """What a report shows.

  Attributes:
    title: of the report.
    label: the line below the title: a text, and what follows it as code.
    table: rows of cells, the heading first.
    notes: what the numbers mean.
    figures: by name.
    captions: by name of the figure.
    details: tables of names and values, by heading.
  """

  title: str
  label: tuple[str, str]
  table: list[list[str]]
  notes: str
  figures: dict[str, figure.Figure]
  captions: dict[str, str]
  details: dict[str, dict[str, Any]]


def write(folder: pathlib.Path, contents: Contents) -> dict[str, str]:
  """Writes both files and the pictures; returns the paths of the files."""
  images = {name: _png(drawn) for name, drawn in contents.figures.items()}
  for name, data in images.items():
    files.write_bytes(folder / 'figures' / f'{name}.png', data)
  text = [f'# {contents.title}', '', '{}`{}`.'.format(*contents.label), '']
  text += [_markdown(contents.table), '']
  for name in images:
    text += [f'![{name}](figures/{name}.png)', '', contents.captions[name], '']
  text += [contents.notes]
  files.write_bytes(folder / 'report.md', '\n'.join(text).encode())
  page = _page(contents, images)
  files.write_bytes(folder / 'report.html', page.encode())
  return {
    'html': str(folder / 'report.html'),
    'markdown': str(folder / 'report.md'),
  }


def _png(drawn: figure.Figure) -> bytes:
  buffer = io.BytesIO()
  with matplotlib.rc_context({'svg.hashsalt': 'coalesce'}):
    drawn.savefig(buffer, format='png', dpi=110, metadata={'Software': None})
  return buffer.getvalue()


def _markdown(table: list[list[str]]) -> str:
  lines = ['| ' + ' | '.join(row) + ' |' for row in table]
  rule = '|---' + '|---:' * (len(table[0]) - 1) + '|'
  return '\n'.join([lines[0], rule, *lines[1:]])


def _page(contents: Contents, images: dict[str, bytes]) -> str:
  escape: Callable[[Any], str] = lambda value: html.escape(str(value))  # noqa: E731
  head = ''.join(f'<th>{escape(cell)}</th>' for cell in contents.table[0])
  body = ''.join(
    '<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>'
    for row in contents.table[1:]
  )
  pictures = ''.join(
    f'<figure><img alt="{escape(name)}" src="data:image/png;base64,'
    f'{base64.b64encode(data).decode()}"><figcaption>'
    f'{escape(contents.captions[name])}</figcaption></figure>'
    for name, data in images.items()
  )
  details = '\n'.join(
    f'<details><summary>{escape(heading)}</summary><table>'
    + ''.join(
      f'<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>'
      for name, value in sorted(values.items())
    )
    + '</table></details>'
    for heading, values in contents.details.items()
  )
  title, (label, code) = escape(contents.title), contents.label
  return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1200px;
  margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums;
  display: block; overflow-x: auto; }}
td, th {{ padding: .25rem .6rem; border-bottom: 1px solid #ddd;
  text-align: right; white-space: nowrap; }}
td:first-child, th:first-child {{ text-align: left; }}
img {{ max-width: 100%; }} figure {{ margin: 2rem 0; }}
figcaption {{ color: #555; }}
details td {{ text-align: left; }}
</style>
<h1>{title}</h1>
<p>{escape(label)}<code>{escape(code)}</code>.</p>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<p>{escape(contents.notes)}</p>
{pictures}
{details}
</html>
"""

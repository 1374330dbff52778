"""Writes a report as HTML and as Markdown.

The HTML file contains its pictures and needs no other file, no script and no
network. The Markdown file refers to the PNG files in `figures`.
"""

import base64
from collections.abc import Mapping
import html
import io
import pathlib
from typing import Any, NamedTuple

import matplotlib
from matplotlib import figure

from coalesce_jax.core import files
from coalesce_jax.runs import columns as columns_lib
from coalesce_jax.runs import page_style


class Contents(NamedTuple):
  """What a report shows.

  Attributes:
    title: of the report.
    verdict: what came of the run, in words.
    label: the line below the verdict: a text, and what follows it as code.
    table: the headings of the columns, then rows of cells.
    meanings: what headings and names of rows mean, by their texts.
    notes: what the numbers mean.
    figures: by name.
    captions: by name of the figure.
    folded: names of the figures that the page shows when asked to.
    samples: PNG pictures by name, which the page shows for the figure of that
      name.
    facts: what was run: names and values.
    links: paths of files from the work folder, and what they are.
    details: tables of names and values, by heading.
  """

  title: str
  verdict: str
  label: tuple[str, str]
  table: tuple[list[str], list[columns_lib.Row]]
  meanings: dict[str, str]
  notes: str
  figures: dict[str, figure.Figure]
  captions: dict[str, str]
  folded: tuple[str, ...]
  samples: dict[str, bytes]
  facts: dict[str, str]
  links: dict[str, str]
  details: dict[str, dict[str, Any]]


def write(folder: pathlib.Path, contents: Contents) -> dict[str, str]:
  """Writes both files and the pictures; returns the paths of the files."""
  images = {name: _png(drawn) for name, drawn in contents.figures.items()}
  for name, data in images.items():
    files.write_bytes(folder / 'figures' / f'{name}.png', data)
  text = _markdown(contents)
  files.write_bytes(folder / 'report.md', text.encode())
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


def _markdown(contents: Contents) -> str:
  headings, rows = contents.table
  lines = [f'# {contents.title}', '']
  lines += [contents.verdict, ''] if contents.verdict else []
  lines += ['{}`{}`.'.format(*contents.label), '']
  lines.append('| ' + ' | '.join(headings) + ' |')
  lines.append('|---' + '|---:' * (len(headings) - 1) + '|')
  for row in rows:
    cells = [row.name]
    for cell in row.cells:
      mean = f'**{cell.mean}**' if cell.best else cell.mean
      cells.append(f'{mean} ± {cell.deviation}' if cell.deviation else mean)
    lines.append('| ' + ' | '.join(cells) + ' |')
  lines.append('')
  for name in contents.figures:
    lines += [f'![{name}](figures/{name}.png)', '', contents.captions[name], '']
  lines += [f'* {name}: {text}' for name, text in contents.facts.items()]
  lines += [''] if contents.facts else []
  lines += [contents.notes, '']
  lines += [f'* {name}: {text}' for name, text in contents.meanings.items()]
  return '\n'.join(lines).rstrip() + '\n'


def _escape(value: Any) -> str:
  return html.escape(str(value))


def _page(contents: Contents, images: dict[str, bytes]) -> str:
  title, (label, code) = _escape(contents.title), contents.label
  shown = dict(images)
  samples = ''
  if contents.samples:
    shown.pop('samples')
    pictures = ''.join(
      f'<div>{_picture(name, data, name)}</div>'
      for name, data in contents.samples.items()
    )
    samples = (
      f'<h2>Samples</h2><p>{_escape(contents.captions["samples"])} Click a '
      f'picture to enlarge it.</p><div class="samples">{pictures}</div>'
    )
  figures = ''.join(
    _figure(name, data, contents.captions[name])
    for name, data in shown.items()
    if name not in contents.folded
  )
  folded = ''.join(
    f'<details><summary>{_escape(_stage(name))}</summary>'
    f'{_figure(name, shown[name], contents.captions[name])}</details>'
    for name in contents.folded
  )
  if folded:
    folded = f'<h2>Curves of every stage</h2>{folded}'
  parts = [
    f'<h1>{title}</h1>',
    f'<p class="verdict">{_escape(contents.verdict)}</p>'
    if contents.verdict
    else '',
    f'<p>{_escape(label)}<code>{_escape(code)}</code>.</p>',
    _table(contents),
    f'<p>{_escape(contents.notes)}</p>',
    _legend(contents.meanings),
    samples,
    figures,
    folded,
    _section('What was run', contents.facts),
    _links(contents.links),
    *(_details(*each) for each in contents.details.items()),
  ]
  body = '\n'.join(part for part in parts if part)
  return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{page_style.CSS}</style></head>
<body>
{body}
</body></html>
"""


def _table(contents: Contents) -> str:
  headings, rows = contents.table

  def explained(text: str) -> str:
    meaning = contents.meanings.get(text)
    if not meaning:
      return _escape(text)
    return f'<abbr title="{_escape(meaning)}">{_escape(text)}</abbr>'

  head = ''.join(f'<th scope="col">{explained(text)}</th>' for text in headings)
  body = []
  for row in rows:
    cells = [f'<td>{explained(row.name)}</td>']
    for heading, cell in zip(headings[1:], row.cells, strict=True):
      mean, kind = _escape(cell.mean), '' if cell.mean else 'empty'
      if cell.best:
        mean, kind = f'<b title="best of the column">{mean}</b>', 'best'
      if cell.deviation:
        mean = f'<span>{mean}<small> ± {_escape(cell.deviation)}</small></span>'
      kind = f' class="{kind}"' if kind else ''
      cells.append(f'<td{kind} data-label="{_escape(heading)}">{mean}</td>')
    body.append(f'<tr>{"".join(cells)}</tr>')
  return (
    f'<table class="cards"><thead><tr>{head}</tr></thead>'
    f'<tbody>{"".join(body)}</tbody></table>'
  )


def _picture(name: str, data: bytes, text: str = '') -> str:
  """Makes a picture that covers the window when it is clicked."""
  label = f'<span>{_escape(text)}</span>' if text else ''
  return (
    '<details class="zoom"><summary title="Click to enlarge, and again to '
    f'close">{label}<img alt="{_escape(name)}" src="data:image/png;base64,'
    f'{base64.b64encode(data).decode()}"></summary></details>'
  )


def _figure(name: str, data: bytes, caption: str) -> str:
  return (
    f'<figure>{_picture(name, data)}<figcaption>{_escape(caption)}'
    '</figcaption></figure>'
  )


def _stage(name: str) -> str:
  return name.removeprefix('stage_').replace('_', ' ')


def _legend(meanings: Mapping[str, str]) -> str:
  if not meanings:
    return ''
  return (
    '<details class="legend"><summary>What the columns and methods mean'
    f'</summary>{_definitions(meanings)}</details>'
  )


def _section(heading: str, texts: Mapping[str, str]) -> str:
  if not texts:
    return ''
  return f'<h2>{_escape(heading)}</h2>{_definitions(texts)}'


def _definitions(texts: Mapping[str, str]) -> str:
  items = ''.join(
    f'<dt>{_escape(name)}</dt><dd>{_escape(text)}</dd>'
    for name, text in texts.items()
  )
  return f'<dl>{items}</dl>'


def _links(links: Mapping[str, str]) -> str:
  if not links:
    return ''
  items = ''.join(
    f'<li><a href="{_escape(path)}">{_escape(path)}</a> {_escape(text)}</li>'
    for path, text in links.items()
  )
  return f'<h2>Files</h2><ul>{items}</ul>'


def _details(heading: str, values: Mapping[str, Any]) -> str:
  rows = ''.join(
    f'<tr><td>{_escape(name)}</td><td>{_escape(value)}</td></tr>'
    for name, value in sorted(values.items())
  )
  return (
    f'<details class="plain"><summary>{_escape(heading)}</summary>'
    f'<table>{rows}</table></details>'
  )

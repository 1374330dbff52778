"""Writes the report of a run from its records, as HTML and as Markdown.

A report has sample grids, curves and one table. The HTML file contains its
pictures and needs no other file. The Markdown file refers to the PNG files in
`figures`.

Shapes: N images of a grid, H, W, C image.
"""

import base64
from collections.abc import Callable
import html
import io
import pathlib
from typing import Any

import matplotlib
from matplotlib import figure
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.runs import figures as figures_lib

# Columns of the table: key of the scores, heading, digits.
COLUMNS = (
  ('frechet', 'Frechet', 2),
  ('kid', 'KID', 3),
  ('w1', 'W1', 2),
  ('precision', 'precision', 3),
  ('recall', 'recall', 3),
  ('density', 'density', 3),
  ('coverage', 'coverage', 3),
  ('class_tv', 'class TV', 3),
  ('memorisation', 'memorisation', 3),
  ('copied', 'copied', 3),
  ('parameters', 'parameters', 0),
  ('bytes', 'bytes', 0),
  ('seconds', 'seconds', 0),
)

NOTES = """\
Values are means and standard deviations over seeds. Frechet: squared Frechet
distance to the target's held-out split, in the features of the network that
the score is named after; lower is better. The row `real` is the score of
training images. W1: exact distance between at most 1,000 samples of each side,
in the same features. The row `real` is the distance between two sets of real
samples. Memorisation: median distance of generated samples to the nearest
local sample, divided by that of held-out real samples; far below 1 it means
copying. Copied: fraction of generated samples that are nearer to a local
sample than 95 % of held-out real samples are; it is 0.05 for new real data.
Bytes: size of the deployed file, with its header and without a critic.
"""


def write(
  folder: pathlib.Path,
  *,
  title: str,
  rows: dict[str, dict[str, Any]],
  grids: dict[str, np.ndarray],
  records: list[dict[str, Any]],
  config: dict[str, Any],
  label: str,
) -> dict[str, str]:
  """Writes `report.html`, `report.md` and `figures/*.png`.

  Args:
    folder: the work folder.
    title: title of the report.
    rows: scores by method, each a list over replicas.
    grids: images by name, `[N, H, W, C]`, uint8 or in [-1, 1].
    records: rows of `metrics.jsonl`.
    config: resolved settings.
    label: name of the Frechet score.

  Returns:
    The paths of the two files, 'html' and 'markdown'.
  """
  seconds = _seconds(records)
  for name, row in rows.items():
    stage = 'pretrain' if name.startswith('node_') else name
    if stage in seconds:
      row['seconds'] = [seconds[stage]]
  figures = {'samples': figures_lib.samples_figure(grids)}
  for name, draw in (
    ('adaptation', figures_lib.adaptation_figure),
    ('distances', figures_lib.distances_figure),
  ):
    drawn = draw(records, rows)
    if drawn is not None:
      figures[name] = drawn
  images = {name: _png(drawn) for name, drawn in figures.items()}
  for name, data in images.items():
    files.write_bytes(folder / 'figures' / f'{name}.png', data)
  table = _table(rows)
  captions = {
    'samples': 'Samples of the first seed, beside real images.',
    'adaptation': f'{label} on a smaller sample, against generator steps: '
    'mean and range over seeds.',
    'distances': 'Distance estimates of each critic on held-out samples, '
    'position on the segment and its residual.',
  }
  text = [f'# {title}', '', f'Score: `{label}`.', '', _markdown(table), '']
  for name in images:
    text += [f'![{name}](figures/{name}.png)', '', captions[name], '']
  text += [NOTES]
  files.write_bytes(folder / 'report.md', '\n'.join(text).encode())
  page = _page(title, label, table, images, captions, config)
  files.write_bytes(folder / 'report.html', page.encode())
  return {
    'html': str(folder / 'report.html'),
    'markdown': str(folder / 'report.md'),
  }


def _seconds(records: list[dict[str, Any]]) -> dict[str, float]:
  return {
    r['stage'].removesuffix('/time'): r['seconds']
    for r in records
    if r['stage'].endswith('/time')
  }


def _png(drawn: figure.Figure) -> bytes:
  buffer = io.BytesIO()
  with matplotlib.rc_context({'svg.hashsalt': 'coalesce'}):
    drawn.savefig(buffer, format='png', dpi=110, metadata={'Software': None})
  return buffer.getvalue()


def _table(rows: dict[str, dict[str, Any]]) -> list[list[str]]:
  shown = [c for c in COLUMNS if any(c[0] in row for row in rows.values())]
  table = [['method', *[heading for _, heading, _ in shown]]]
  for name, row in rows.items():
    cells = [name.replace('_', ' ')]
    for key, _, digits in shown:
      cells.append(_cell(row.get(key), digits))
    table.append(cells)
  first = next(iter(rows.values()), None)
  if first is not None:
    real = {'frechet': first['real'], 'w1': first['w1_real']}
    table.append(
      ['real', *[_cell(real.get(key), digits) for key, _, digits in shown]]
    )
  return table


def _cell(values: Any, digits: int) -> str:
  # What is not defined for a replica is None, or NaN, and has no part in it.
  values = [] if values is None else np.ravel(np.array(values, float))
  values = [value for value in values if np.isfinite(value)]
  if not values:
    return ''
  mean = float(np.mean(values))
  text = f'{mean:,.{digits}f}'
  if digits and len(values) > 1:
    deviation = float(np.std(values, ddof=1))
    if deviation:
      text += f' ± {deviation:,.{digits}f}'
  return text


def _markdown(table: list[list[str]]) -> str:
  lines = ['| ' + ' | '.join(row) + ' |' for row in table]
  rule = '|---' + '|---:' * (len(table[0]) - 1) + '|'
  return '\n'.join([lines[0], rule, *lines[1:]])


def _page(
  title: str,
  label: str,
  table: list[list[str]],
  images: dict[str, bytes],
  captions: dict[str, str],
  config: dict[str, Any],
) -> str:
  escape: Callable[[Any], str] = lambda value: html.escape(str(value))  # noqa: E731
  head = ''.join(f'<th>{escape(cell)}</th>' for cell in table[0])
  body = ''.join(
    '<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>'
    for row in table[1:]
  )
  pictures = ''.join(
    f'<figure><img alt="{escape(name)}" src="data:image/png;base64,'
    f'{base64.b64encode(data).decode()}"><figcaption>'
    f'{escape(captions[name])}</figcaption></figure>'
    for name, data in images.items()
  )
  settings = ''.join(
    f'<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>'
    for name, value in sorted(config.items())
  )
  return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
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
<h1>{escape(title)}</h1>
<p>Score: <code>{escape(label)}</code>.</p>
<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<p>{escape(NOTES)}</p>
{pictures}
<details><summary>Settings</summary><table>{settings}</table></details>
</html>
"""

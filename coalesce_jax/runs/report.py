"""Writes the report of a run from its records, as HTML and as Markdown.

The report of the pipeline has sample grids, curves and one table of scores. The
report of another command's work folder has the metrics of its stages.

Shapes: N images of a grid, H, W, C image.
"""

import os
import pathlib
from typing import Any

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.runs import figures as figures_lib
from coalesce_jax.runs import pages
from coalesce_jax.runs import records as records_lib
from coalesce_jax.runs import workdir as workdir_lib

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

METRICS = """\
The table has the last row of each stage. Metrics are means over the steps since
the row before. A list has one value for each critic or node.
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
  table = _table(rows)
  captions = {
    'samples': 'Samples of the first seed, beside real images.',
    'adaptation': f'{label} on a smaller sample, against generator steps: '
    'mean and range over seeds.',
    'distances': 'Distance estimates of each critic on held-out samples, '
    'position on the segment and its residual.',
  }
  contents = pages.Contents(
    title, ('Score: ', label), table, NOTES, figures, captions,
    {'Settings': config},
  )  # fmt: skip
  return pages.write(folder, contents)


def write_folder(workdir: str | os.PathLike[str]) -> dict[str, str]:
  """Writes the report of any command's work folder, finished or not.

  It has the metrics of all stages, the last ones in a table, the settings and
  the environment.

  Args:
    workdir: the folder.

  Returns:
    The paths of the two files, 'html' and 'markdown'.

  Raises:
    ValueError: there is no run in the folder, or its settings are damaged; one
      line.
  """
  folder = pathlib.Path(workdir)
  if (folder / 'trials').is_dir():
    raise ValueError(
      f'{folder}: holds trials of an experiment; `python -m '
      f'experiments.NAME.main --workdir={folder} --report` reports them'
    )
  config = workdir_lib.settings(folder)
  if config is None or not (folder / 'environment.json').exists():
    raise ValueError(f'{folder}: no run, which leaves settings and environment')
  try:
    environment = files.read_json(folder / 'environment.json')
  except ValueError as error:
    logging.warning('%s: left out', error)
    environment = {}
  rows = records_lib.read(folder)
  figures = figures_lib.metrics_figures(rows)
  contents = pages.Contents(
    folder.resolve().name,
    ('Work folder: ', str(folder)),
    _last(rows, list(figures)),
    METRICS,
    # A stage may be a path, a file is none.
    {stage.replace('/', '_'): drawn for stage, drawn in figures.items()},
    {
      stage.replace('/', '_'): f'Metrics of {stage} against generator steps.'
      for stage in figures
    },
    {'Settings': config, 'Environment': environment},
  )
  return pages.write(files.check_writable(folder), contents)


def _seconds(records: list[dict[str, Any]]) -> dict[str, float]:
  return {
    r['stage'].removesuffix('/time'): r['seconds']
    for r in records
    if r['stage'].endswith('/time')
    and isinstance(r.get('seconds'), int | float)
  }


def _last(rows: list[dict[str, Any]], stages: list[str]) -> list[list[str]]:
  """Returns a table of the last metrics of each stage."""
  last = {row['stage']: row for row in rows if row['stage'] in stages}
  names = dict.fromkeys(
    name for row in last.values() for name in row if name != 'stage'
  )
  table = [['stage', *names]]
  for stage, row in last.items():
    table.append([stage, *[_numbers(row.get(name)) for name in names]])
  return table


def _numbers(value: Any) -> str:
  """Formats numbers, those of a list one after another."""
  if isinstance(value, list):
    return ' '.join(_numbers(each) for each in value)
  if isinstance(value, int | float):
    return f'{value:.4g}' if isinstance(value, float) else str(value)
  return ''


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

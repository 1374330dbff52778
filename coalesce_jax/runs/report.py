"""Writes the report of a run from its records, as HTML and as Markdown.

The report of the pipeline has sample grids, curves and one table of scores. The
report of another command's work folder has the metrics of its stages.

Shapes: N images of a grid, H, W, C image.
"""

import os
import pathlib
from typing import Any
from urllib import parse

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.runs import columns as columns_lib
from coalesce_jax.runs import figures as figures_lib
from coalesce_jax.runs import pages
from coalesce_jax.runs import pictures as pictures_lib
from coalesce_jax.runs import records as records_lib
from coalesce_jax.runs import verdict
from coalesce_jax.runs import workdir as workdir_lib

# Files of a run, besides its bundles.
_FILES = {
  'scores.json': 'scores of every seed',
  'tables.md': 'tables',
  'metrics.jsonl': 'metrics of every stage',
  'config.json': 'settings',
  'environment.json': 'command, machine and versions',
}

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
    folder: the work folder. Its environment and bundles are named, if there
      are any.
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
  captions = {
    'samples': 'Samples of the first seed, beside real images.',
    'adaptation': f'{label} on a smaller sample, against generator steps: '
    'mean and range over seeds.',
    'distances': 'Distance estimates of each critic on held-out samples, '
    'position on the segment and its residual.',
  }
  # The curves of scores are those of the figure 'adaptation'.
  stages = {
    _as_file(f'stage_{stage}'): (stage, drawn)
    for stage, drawn in figures_lib.metrics_figures(records).items()
    if not stage.endswith('/curve')
  }
  for name, (stage, drawn) in stages.items():
    figures[name] = drawn
    captions[name] = f'Metrics of {stage} against generator steps.'
  shown, table = columns_lib.table(rows)
  meanings = {c.heading: c.meaning for c in shown} | {
    row.name: text for row in table if (text := columns_lib.meaning(row.name))
  }
  environment = _environment(folder)
  contents = pages.Contents(
    title=title,
    verdict=verdict.of(rows),
    label=('Score: ', label),
    table=(['method', *[c.heading for c in shown]], table),
    meanings=meanings,
    notes=columns_lib.MARKED,
    figures=figures,
    captions=captions,
    folded=tuple(stages),
    samples={
      name.replace('_', ' '): figures_lib.png(images)
      for name, images in grids.items()
    },
    facts=_facts(environment, seconds),
    links=_links(folder, config),
    details={'Settings': config, 'Environment': environment},
  )
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
  environment = _environment(folder)
  rows = records_lib.read(folder)
  figures = figures_lib.metrics_figures(rows)
  pictures, caption = pictures_lib.read(folder / 'pictures')
  contents = pages.Contents(
    title=folder.resolve().name,
    verdict=_state(rows, list(figures)),
    label=('Work folder: ', str(folder)),
    table=_last(rows, list(figures)),
    meanings={},
    notes=METRICS,
    # A stage may be a path, a file is none.
    figures=pictures_lib.figures(pictures)
    | {_as_file(stage): drawn for stage, drawn in figures.items()},
    captions={
      _as_file(stage): f'Metrics of {stage} against generator steps.'
      for stage in figures
    }
    | {'samples': caption},
    folded=(),
    samples=pictures,
    facts=_facts(environment, _seconds(rows)),
    links=_links(folder, config),
    details={'Settings': config, 'Environment': environment},
  )
  return pages.write(files.check_writable(folder), contents)


def _as_file(stage: str) -> str:
  return stage.replace('/', '_')


def _environment(folder: pathlib.Path) -> dict[str, Any]:
  """Reads the environment of a run; what is damaged is left out."""
  path = folder / 'environment.json'
  if not path.exists():
    return {}
  try:
    return files.read_json(path)
  except ValueError as error:
    logging.warning('%s: left out', error)
    return {}


def _facts(
  environment: dict[str, Any], seconds: dict[str, float]
) -> dict[str, str]:
  """Names the command, the machine, the versions and the time."""
  versions = environment.get('versions')
  machine = [environment.get(name) for name in ('platform', 'device')]
  if environment.get('cores'):
    machine.append(f'{environment["cores"]} cores')
  found = {
    'command': environment.get('command'),
    'started': environment.get('started'),
    'training': f'{sum(seconds.values()):,.0f} seconds' if seconds else '',
    'machine': ', '.join(str(part) for part in machine if part),
    'revision': environment.get('revision'),
    'versions': ', '.join(
      f'{name} {version}' for name, version in versions.items()
    )
    if isinstance(versions, dict)
    else '',
  }
  return {name: str(text) for name, text in found.items() if text}


def _links(folder: pathlib.Path, config: dict[str, Any]) -> dict[str, str]:
  """Names the files of a run by their paths from its folder."""
  found = sorted((folder / 'bundles').glob('*.safetensors'))
  out = config.get('out')
  if isinstance(out, str) and out:
    # Of a command whose results lie beside the work folder.
    place = pathlib.Path(out)
    found += sorted(place.glob('*.safetensors')) if place.is_dir() else [place]
  links = {}
  for path in found:
    if path.is_file():
      name = os.path.relpath(path, folder).replace(os.sep, '/')
      links[parse.quote(name)] = f'bundle of {path.stat().st_size:,} bytes'
  for name, text in _FILES.items():
    if (folder / name).is_file():
      links[name] = text
  return links


def _state(rows: list[dict[str, Any]], stages: list[str]) -> str:
  """Says how far the stages of a work folder are."""
  if not stages:
    return 'No stage has recorded metrics yet.'
  last = [row for row in rows if row['stage'] in stages][-1]
  text = f'The last record is step {last["step"]} of {last["stage"]}.'
  found = [
    (row['step'], float(np.mean(values)))
    for row in rows
    if row['stage'] == last['stage']
    and (values := columns_lib.finite(_listed(row.get('w1_smooth'))))
  ]
  if len(found) > 1:
    (first, before), (final, after) = found[0], found[-1]
    text += (
      f' The distance that its critics estimate went from {before:,.3g} at '
      f'step {first} to {after:,.3g} at step {final}.'
    )
  return text


def _listed(value: Any) -> list[Any]:
  """Returns the numbers of nested lists, in one list."""
  if isinstance(value, list):
    return [number for each in value for number in _listed(each)]
  return [value] if isinstance(value, int | float) else []


def _seconds(records: list[dict[str, Any]]) -> dict[str, float]:
  return {
    r['stage'].removesuffix('/time'): r['seconds']
    for r in records
    if r['stage'].endswith('/time')
    and isinstance(r.get('seconds'), int | float)
  }


def _last(
  rows: list[dict[str, Any]], stages: list[str]
) -> tuple[list[str], list[columns_lib.Row]]:
  """Returns a table of the last metrics of each stage."""
  last = {row['stage']: row for row in rows if row['stage'] in stages}
  names = dict.fromkeys(
    name for row in last.values() for name in row if name != 'stage'
  )
  return ['stage', *names], [
    columns_lib.Row(
      stage, [columns_lib.Cell(_numbers(row.get(name))) for name in names]
    )
    for stage, row in last.items()
  ]


def _numbers(value: Any) -> str:
  """Formats numbers, those of a list one after another."""
  if isinstance(value, list):
    return ' '.join(_numbers(each) for each in value)
  if isinstance(value, int | float):
    return f'{value:.4g}' if isinstance(value, float) else str(value)
  return ''

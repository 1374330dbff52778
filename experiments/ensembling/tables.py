"""What the trials say: a row for each method, and differences by seed."""

import collections
from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.trials import trials
from experiments.ensembling import semantics
from experiments.ensembling import train


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the summary, the table and the figure of the trials that are done."""
  del config
  times = results.get('speed', {}).get('kernels', {})
  each = [r['scores'] for name, r in results.items() if name != 'speed']
  rows: dict[str, dict[str, Any]] = {}
  for name in each[0] if each else ():
    row: dict[str, Any] = {
      score: [scores[name][score] for scores in each]
      for score in semantics.SCORES
    }
    row['less_geometric'] = [
      scores[name]['semantic_error'] - scores[train.GEOMETRIC]['semantic_error']
      for scores in each
    ]
    row['settings'] = dict(
      collections.Counter(scores[name].get('setting', '') for scores in each)
    )
    rows[name] = row
  lines = [
    '| method | accuracy | semantic error | of mistakes | log loss | semantic '
    'error less that of the geometric mean | lower in | setting |',
    '|---|' + '---:|' * 6 + '---|',
  ]
  for name, row in rows.items():
    cells = [spread.text(row[score], 4) for score in semantics.SCORES]
    less = row['less_geometric']
    cells += [
      spread.text(less, 4),
      f'{sum(x < 0.0 for x in less)} of {len(less)}',
      max(row['settings'], key=row['settings'].get),
    ]
    lines.append(f'| {name} | {" | ".join(cells)} |')
  line = {
    name: round(float(np.mean(row['semantic_error'])), 4)
    for name, row in rows.items()
  }
  if times:
    lines += [
      '',
      '| kernel | seconds | POT, times as long |',
      '|---|---:|---:|',
    ]
  for name, row in times.items():
    seconds, ratio = spread.text(row['seconds'], 2), spread.text(row['ratio'])
    lines.append(f'| {name} | {seconds} | {ratio} |')
  drawn = _drawn(rows)
  text = '\n'.join([*lines, ''])
  return trials.Report(
    {'rows': rows, 'speed': times}, line, text, {'errors': drawn}
  )


def _drawn(rows: dict[str, dict[str, Any]]) -> figure.Figure:
  """Draws the semantic error against the accuracy."""
  drawn = figure.Figure(figsize=(6.0, 4.0), layout='constrained')
  axis = drawn.subplots()
  for name, row in rows.items():
    if name != 'one model':
      x, y = row['accuracy'], row['semantic_error']
      axis.errorbar(
        np.mean(x), np.mean(y), spread.deviation(y), spread.deviation(x),
        fmt='o', capsize=2, label=name,
      )  # fmt: skip
  axis.set(xlabel='accuracy', ylabel='semantic error')
  if rows:
    axis.legend(fontsize=8)
  return drawn

"""What the trials say: a table for each problem, a row for each method."""

from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.trials import trials

# Score -> head of its column and digits.
_COLUMNS = {
  'moments': ('BW2-UVP, %', 3),
  'maps': ('L2-UVP, %', 3),
  'divergence': ('Sinkhorn divergence', 3),
  'value': ('value', 4),
  'iterations': ('iterations', 0),
  'seconds': ('seconds', 0),
  'cpu_seconds': ('CPU seconds', 0),
}


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the summary, the tables and the figure of the trials done."""
  del config
  groups: dict[str, dict[str, dict[str, list[float]]]] = {}
  for trial, result in results.items():
    rows = groups.setdefault(trial.rsplit('_seed_', 1)[0], {})
    for name, scores in result['rows'].items():
      row = rows.setdefault(name, {})
      for score, value in scores.items():
        row.setdefault(score, []).append(float(value))
  parts, line = [], {}
  for group, rows in groups.items():
    columns = [c for c in _COLUMNS if any(c in row for row in rows.values())]
    heads = [_COLUMNS[c][0] for c in columns]
    parts += [
      f'## {group}', '', f'| method | {" | ".join(heads)} |',
      '|---|' + '---:|' * len(heads),
    ]  # fmt: skip
    for name, row in rows.items():
      cells = [
        spread.text(row[c], _COLUMNS[c][1]) if c in row else '' for c in columns
      ]
      parts.append(f'| {name} | {" | ".join(cells)} |')
      for score in ('maps', 'divergence'):
        if score in row:
          line[f'{group}, {name}'] = round(float(np.mean(row[score])), 4)
    parts.append('')
  text = '\n'.join(parts)
  return trials.Report({'rows': groups}, line, text, {'maps': _drawn(groups)})


def _drawn(groups: dict[str, Any]) -> figure.Figure:
  """Draws the errors of the maps of each method, one colour a problem."""
  drawn = figure.Figure(figsize=(6.4, 3.6), layout='constrained')
  axis = drawn.subplots()
  for group, rows in groups.items():
    names = [name for name, row in rows.items() if 'maps' in row]
    if names:
      means = [float(np.mean(rows[name]['maps'])) for name in names]
      axis.plot(means, names, 'o', label=group)
  axis.set(xscale='log', xlabel='L2-UVP, %')
  if axis.lines:
    axis.legend(fontsize=8)
  return drawn

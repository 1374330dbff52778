"""What the trials say: a table and a figure."""

from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.trials import comparison
from coalesce_jax.trials import trials


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the summary, the table and the figure of all results."""
  rows = comparison.rows(config, results)
  lines = ['| method | anchor | Frechet | copied |', '|---|---:|---:|---:|']
  for row in rows:
    anchor = '' if row['value'] is None else row['value']
    frechet, copied = spread.text(row['frechet']), np.mean(row['copied'])
    lines.append(f'| {row["label"]} | {anchor} | {frechet} | {copied:.2f} |')
  drawn = figure.Figure(figsize=(5.6, 3.6), layout='constrained')
  axis = drawn.subplots()
  for label in dict.fromkeys(row['label'] for row in rows):
    some = [row for row in rows if row['label'] == label]
    means = [float(np.mean(row['frechet'])) for row in some]
    bars = [spread.deviation(row['frechet']) for row in some]
    at, style = [row['value'] for row in some], 'o-'
    if at == [None]:  # Without an anchor: a level line.
      at, style = [0.0, max(config.anchors)], '--'
      means, bars = means * 2, bars * 2
    axis.errorbar(at, means, bars, fmt=style, capsize=2, label=label)
  axis.set(xlabel='anchor weight', ylabel='squared Frechet distance')
  axis.set_ylim(bottom=0.0)
  axis.legend()
  best = min(rows, key=lambda row: np.mean(row['frechet']))
  line = {'best': best['label'], 'frechet': float(np.mean(best['frechet']))}
  text = '\n'.join([*lines, ''])
  return trials.Report({'rows': rows}, line, text, {'anchors': drawn})

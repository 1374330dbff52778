"""Figures of the few-shot experiment."""

from typing import Any

import matplotlib as mpl
from matplotlib import figure
from matplotlib.backends import backend_agg
import numpy as np

from experiments.few_shot import tables

Summary = dict[str, Any]


def figures(summary: Summary) -> dict[str, figure.Figure]:
  """Figures by file name."""
  if not summary['rows']:
    return {}
  return {'samples': _samples(summary), 'steps': _steps(summary)}


def _styles(summary: Summary) -> dict[str, dict[str, Any]]:
  """Ours solid, others dashed; colours differ among each of the two."""
  colors = mpl.colormaps['tab20'](np.arange(20))
  ours = {r['method']: r['ours'] for r in summary['rows']}
  found = {}
  for side, line in ((True, '-'), (False, '--')):
    for i, method in enumerate(m for m in ours if ours[m] == side):
      found[method] = {
        'color': colors[i % len(colors)],
        'linestyle': line,
        'marker': 'os^vDP*X'[i % 8],
        'markersize': 4,
      }
  return {method: found[method] for method in ours}


def _samples(summary: Summary) -> figure.Figure:
  """Frechet distance against the number of local samples, by setting."""
  settings = list(dict.fromkeys(r['setting'] for r in summary['rows']))
  styles = _styles(summary)
  drawn = figure.Figure(figsize=(4.6 * len(settings), 4.6))
  axes = drawn.subplots(1, len(settings), squeeze=False)[0]
  for axis, setting in zip(axes, settings, strict=True):
    for method, style in styles.items():
      rows = [
        r
        for r in summary['rows']
        if r['setting'] == setting and r['method'] == method and r['chosen']
      ]
      if not rows:
        continue
      means = [tables.mean(r) for r in rows]
      apart = [tables.deviation(r) for r in rows]
      # The axis is logarithmic: no bar reaches down to zero.
      down = [min(a, 0.9 * m) for a, m in zip(apart, means, strict=True)]
      axis.errorbar(
        [r['samples'] for r in rows],
        means,
        [down, apart],
        label=rows[0]['label'],
        capsize=2,
        lw=1.2,
        **style,
      )
    axis.set_title(setting, fontsize=10)
    axis.set_xlabel('local samples')
    axis.set_xscale('log')
    axis.set_yscale('log')
    counts = sorted({r['samples'] for r in summary['rows']})
    axis.set_xticks(counts, [str(n) for n in counts])
    axis.minorticks_off()
  axes[0].set_ylabel('squared Frechet distance')
  _legend(drawn, axes)
  return drawn


def _steps(summary: Summary) -> figure.Figure:
  """Frechet distance over steps, at the chosen rate."""
  groups = tables.groups(summary)
  settings = list(dict.fromkeys(s for s, _ in groups))
  counts = sorted({n for _, n in groups})
  styles = _styles(summary)
  drawn = figure.Figure(figsize=(3.6 * len(counts), 3.2 * len(settings) + 0.4))
  axes = drawn.subplots(len(settings), len(counts), squeeze=False)
  for i, setting in enumerate(settings):
    for j, count in enumerate(counts):
      axis, rows = axes[i, j], tables.of(summary, setting, count)
      if not rows:
        axis.set_axis_off()
        continue
      for row in rows:
        if row['curve'] and row['chosen']:
          axis.plot(
            [int(step) for step in row['curve']],
            [float(np.mean(v)) for v in row['curve'].values()],
            label=row['label'],
            lw=1.2,
            **styles[row['method']],
          )
      axis.set_yscale('log')
      axis.set_title(f'{setting}, {count} samples', fontsize=9)
      axis.set_xlabel('generator steps')
  axes[0, 0].set_ylabel('squared Frechet distance')
  _legend(drawn, axes)
  return drawn


def _legend(drawn: figure.Figure, axes: Any) -> None:
  """Every method once, whichever panels it is in."""
  known = {
    label: handle
    for axis in axes.flat
    for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
  }
  legend = drawn.legend(known.values(), known, loc='center right', fontsize=7)
  # The panels keep their width, whatever the names are, and every name is seen.
  canvas = backend_agg.FigureCanvasAgg(drawn)
  extent = legend.get_window_extent(canvas.get_renderer())
  names = extent.height / drawn.dpi + 0.2
  drawn.set_figheight(max(drawn.get_figheight(), names))
  panels = drawn.get_figwidth()
  drawn.set_figwidth(panels + extent.width / drawn.dpi + 0.2)
  drawn.tight_layout(rect=(0.0, 0.0, panels / drawn.get_figwidth(), 1.0))

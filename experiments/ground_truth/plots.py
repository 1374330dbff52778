"""Figures of the ground truths."""

from typing import Any

from matplotlib import figure

from experiments.ground_truth import tables

Summary = dict[str, Any]


def figures(summary: Summary) -> dict[str, figure.Figure]:
  """Figures by file name, those that have something to show."""
  drawn = {}
  if summary['rows']:
    drawn['gaps'] = _gaps(summary['rows'])
  if summary['robustness']:
    drawn['robustness'] = _robustness(summary['robustness'])
  if summary['known_pairs']:
    drawn['estimators'] = _estimators(summary['known_pairs'])
  return drawn


def _gaps(rows: list[dict[str, Any]]) -> figure.Figure:
  """Relative gap against D, a panel an objective and method."""
  kinds = sorted({(r['objective'], r['method']) for r in rows})
  drawn = figure.Figure(figsize=(3.6 * len(kinds), 4.2))
  axes = drawn.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
  truths = sorted({tables.name(r) for r in rows})
  colors = {t: f'C{i}' for i, t in enumerate(truths)}
  for axis, (objective, method) in zip(axes, kinds, strict=True):
    for truth in truths:
      of = sorted(
        (
          r
          for r in rows
          if (tables.name(r), r['objective'], r['method'])
          == (truth, objective, method)
        ),
        key=lambda r: r['D'],
      )
      if of:
        axis.plot(
          [r['D'] for r in of],
          [max(abs(100.0 * r['relative_gap']), 0.01) for r in of],
          'o-',
          color=colors[truth],
          label=truth,
        )
    axis.step(
      [1, 16, 16, 128], [3.0, 3.0, 6.0, 6.0], 'k--', lw=1, label='limit'
    )
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_title(f'{objective}, {method}')
    axis.set_xlabel('dimensions')
    axis.legend(fontsize=7)
  axes[0].set_ylabel('gap of the objective, worst seed, %')
  drawn.tight_layout()
  return drawn


def _robustness(rows: list[dict[str, Any]]) -> figure.Figure:
  """What moves, a panel a kind of corruption."""
  kinds = list(dict.fromkeys(r['kind'] for r in rows))
  drawn = figure.Figure(figsize=(3.6 * len(kinds), 4.0))
  axes = drawn.subplots(1, len(kinds), squeeze=False)[0]
  for axis, kind in zip(axes, kinds, strict=True):
    of = [r for r in rows if r['kind'] == kind and r['objective'] == 'w1']
    squared = {
      (r['K'], r['corrupted']): r['moved']
      for r in rows
      if r['kind'] == kind and r['objective'] != 'w1'
    }
    bars = {
      'barycenter, w1': [r['moved'] for r in of],
      'barycenter, w1_squared': [
        squared.get((r['K'], r['corrupted']), 0.0) for r in of
      ],
      'model average': [r['model_average_moved'] for r in of],
      'mixture': [r['mixture_moved'] for r in of],
    }
    for i, (label, values) in enumerate(bars.items()):
      places = [j + 0.2 * (i - 1.5) for j in range(len(of))]
      axis.bar(places, values, 0.2, label=label)
    axis.set_xticks(
      range(len(of)), [f'{r["corrupted"]} of {r["K"]}' for r in of]
    )
    axis.set_title(kind)
    axis.set_yscale('log')
  axes[0].set_ylabel('W1 moved from the clean result')
  drawn.tight_layout(rect=(0.0, 0.07, 1.0, 1.0))
  handles, labels = axes[0].get_legend_handles_labels()
  drawn.legend(handles, labels, loc='lower center', ncols=len(labels))
  return drawn


def _estimators(rows: list[dict[str, Any]]) -> figure.Figure:
  """Errors of the estimators on known pairs against D."""
  families = list(dict.fromkeys(r['family'] for r in rows))
  drawn = figure.Figure(figsize=(3.8 * len(families), 4.0))
  axes = drawn.subplots(1, len(families), squeeze=False, sharey=True)[0]
  names = ('upper', 'lower', 'plug_in', 'sinkhorn_divergence')
  for axis, family in zip(axes, families, strict=True):
    of = [r for r in rows if r['family'] == family and r['true_w1'] > 0.0]
    far = max(r['true_w1'] / _unit(r, of) for r in of)
    of = sorted(
      (r for r in of if r['true_w1'] / _unit(r, rows) > 0.9 * far),
      key=lambda r: r['D'],
    )
    for name in names:
      axis.plot(
        [r['D'] for r in of],
        [max(100 * abs(r[name] / r['true_w1'] - 1.0), 1e-3) for r in of],
        'o-',
        label=name.replace('_', ' '),
      )
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_title(family)
    axis.set_xlabel('dimensions')
  axes[0].set_ylabel('relative error on a known pair, %')
  axes[0].legend(fontsize=7)
  drawn.tight_layout()
  return drawn


def _unit(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
  """The least distance of the pairs of one family and dimension."""
  return min(
    r['true_w1']
    for r in rows
    if r['D'] == row['D']
    and r['family'] == row['family']
    and r['true_w1'] > 0.0
  )

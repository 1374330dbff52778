"""Figures and the table of the critic benchmark."""

from typing import Any

from matplotlib import figure
import numpy as np

from experiments.critic_benchmark import published

# One colour a critic, ours and the published one alike.
COLORS = {'gp': 'C0', 'lp': 'C1', 'groupsort': 'C4', 'envelopes': 'C2'}
NAMES = {'gp': 'two-sided penalty', 'lp': 'one-sided penalty'}


def figures(rows: list[dict[str, Any]]) -> dict[str, figure.Figure]:
  """One figure: errors of W1 and of the gradient against D, a column an N."""
  counts = sorted({row['N'] for row in rows})
  critics = list(dict.fromkeys(row['critic'] for row in rows))
  drawn = figure.Figure(figsize=(2.0 + 3.6 * len(counts), 6.8))
  axes = drawn.subplots(
    2, len(counts), squeeze=False, sharex=True, sharey='row'
  )
  handles: dict[str, Any] = {}
  for column, n in enumerate(counts):
    top, bottom = axes[:, column]
    for critic in critics:
      cells = sorted(
        (r for r in rows if r['N'] == n and r['critic'] == critic),
        key=lambda r: r['D'],
      )
      style = {'color': COLORS.get(critic, 'C3'), 'marker': 'o', 'ms': 4}
      dims = [r['D'] for r in cells]
      top.plot(dims, [r['relative_error'] for r in cells], **style)
      (handles[NAMES.get(critic, critic)],) = bottom.plot(
        dims, [1.0 - r['cosine'] for r in cells], **style
      )
    for method in published.METHODS:
      style = {'color': COLORS[method], 'linestyle': '--'}
      if n in published.W1:
        true = published.W1[n]['true']
        errors = [
          abs(w / t - 1.0)
          for w, t in zip(published.W1[n][method], true, strict=True)
        ]
        top.plot(published.DIMS, errors, **style)
      if n in published.COSINE:
        (handles[f'{NAMES[method]}, published'],) = bottom.plot(
          published.DIMS,
          [1.0 - c for c in published.COSINE[n][method]],
          **style,
        )
    top.set_title(f'{n} funnels')
    bottom.set_xlabel('dimensions')
    bottom.set_xscale('log', base=2)
    bottom.xaxis.set_major_formatter('{x:g}')
  for line in axes:
    # Of one value alone matplotlib finds no limits.
    curves = [curve for axis in line for curve in axis.lines]
    values = np.concatenate([curve.get_ydata() for curve in curves])
    values = np.log10(np.maximum(values, 1e-9))
    low, high = np.floor(np.nanmin(values)), np.floor(np.nanmax(values)) + 1.0
    for axis in line:
      axis.set_ylim(10.0**low, 10.0**high)
      axis.set_yscale('log')
      axis.grid(True, alpha=0.3)
  axes[0, 0].set_ylabel('relative error of W1')
  axes[1, 0].set_ylabel('1 - cosine of the gradient')
  drawn.legend(
    handles.values(), handles.keys(), loc='lower center', ncols=3, fontsize=9
  )
  drawn.tight_layout(rect=(0.0, 0.08, 1.0, 1.0))
  return {'critics': drawn}


def table(summary: dict[str, Any]) -> str:
  """A Markdown table, one line a cell and critic."""
  lines = [
    '| D | N | critic | true W1 | W1 | error | published error | cosine |'
    ' published cosine | max slope | seconds |',
    '|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|',
  ]

  def shown(value: float | None, form: str) -> str:
    return '' if value is None else form.format(value)

  for row in summary['rows']:
    lines.append(
      f'| {row["D"]} | {row["N"]} | {row["critic"]} | {row["true_w1"]:.4f} |'
      f' {row["w1"]:.4f} | {100.0 * row["relative_error"]:.2f} % |'
      f' {shown(row["published_error"], "{:.1%}")} | {row["cosine"]:.3f} |'
      f' {shown(row["published_cosine"], "{:.3f}")} |'
      f' {row["max_slope"]:.2f} | {row["training_seconds"]:.0f} |'
    )
  return '\n'.join(lines) + '\n'

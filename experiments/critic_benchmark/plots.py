"""Figures and the table of the critic benchmark."""

from typing import Any

from matplotlib import figure

from experiments.critic_benchmark import published


def figures(rows: list[dict[str, Any]]) -> dict[str, figure.Figure]:
  """One figure: relative error and cosine against D, a column an N."""
  counts = sorted({row['N'] for row in rows})
  critics = list(dict.fromkeys(row['critic'] for row in rows))
  drawn = figure.Figure(figsize=(4.2 * len(counts), 6.4))
  axes = drawn.subplots(2, len(counts), squeeze=False, sharex=True)
  for column, n in enumerate(counts):
    top, bottom = axes[:, column]
    for critic in critics:
      cells = sorted(
        (r for r in rows if r['N'] == n and r['critic'] == critic),
        key=lambda r: r['D'],
      )
      dims = [r['D'] for r in cells]
      top.plot(dims, [r['relative_error'] for r in cells], 'o-', label=critic)
      bottom.plot(dims, [r['cosine'] for r in cells], 'o-', label=critic)
    for method, style in zip(published.METHODS, ('--', ':'), strict=True):
      label = f'published {method}'
      if n in published.W1:
        true = published.W1[n]['true']
        errors = [
          abs(w / t - 1.0)
          for w, t in zip(published.W1[n][method], true, strict=True)
        ]
        top.plot(published.DIMS, errors, f'k{style}', label=label)
      if n in published.COSINE:
        bottom.plot(
          published.DIMS, published.COSINE[n][method], f'k{style}', label=label
        )
    top.set_title(f'{n} funnels')
    top.set_yscale('log')
    bottom.set_xscale('log', base=2)
    bottom.set_xlabel('dimensions')
  axes[0, 0].set_ylabel('relative error of W1')
  axes[1, 0].set_ylabel('cosine of the gradient')
  axes[1, 0].legend(fontsize=8)
  drawn.tight_layout()
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

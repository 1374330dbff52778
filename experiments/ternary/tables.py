"""Tables and figures of the ternary experiment."""

from typing import Any

from matplotlib import figure
from matplotlib import ticker
import numpy as np

from coalesce_jax.metrics import spread

Summary = dict[str, Any]

_COLORS = {
  'float': 'k', 'longer': 'k', '8 bits': 'C4', 'afterwards': 'C3',
  'trained': 'C0', 'narrow': 'C1',
}  # fmt: skip


def datasets(summary: Summary) -> list[str]:
  """In order."""
  return list(dict.fromkeys(row['dataset'] for row in summary['rows']))


def of(summary: Summary, dataset: str) -> list[dict[str, Any]]:
  """The rows of a data set."""
  return [row for row in summary['rows'] if row['dataset'] == dataset]


def mean(row: dict[str, Any], measure: str = 'frechet') -> float:
  """Over seeds."""
  return float(np.mean(row['scores'][measure]))


def deviation(row: dict[str, Any], measure: str = 'frechet') -> float:
  """Over seeds, of a sample."""
  return spread.deviation(row['scores'][measure])


def write(summary: Summary) -> str:
  """Markdown: a table a data set."""
  lines = ['# Quality against bytes', '']
  for dataset in datasets(summary):
    rows = of(summary, dataset)
    first = next((row for row in rows if row['name'] == 'float'), None)
    lines += [
      f'## {dataset}', '',
      '| generator | rate | Frechet | over float | coverage | zeros | bytes '
      '| bytes, trits |',
      '|---|---:|---:|---:|---:|---:|---:|---:|',
    ]  # fmt: skip
    for row in rows:
      times = f'{mean(row) / mean(first):.2f}' if first else ''
      zeros = row.get('sparsity')
      trits = row.get('bytes_trits')
      lines.append(
        f'| {row["label"]} | {row.get("rate", "")} '
        f'| {spread.text(row["scores"]["frechet"])} | {times} '
        f'| {mean(row, "coverage"):.3f} '
        f'| {f"{np.mean(list(zeros.values())):.2f}" if zeros else ""} '
        f'| {row["bytes"]:,} | {f"{trits:,}" if trits else ""} |'
      )
    lines.append('')
  return '\n'.join(lines)


def _before(row: dict[str, Any]) -> float:
  """The score against training images that the rate was chosen by."""
  return min(row['rates'].values())


def best(summary: Summary) -> dict[str, dict[str, Any]]:
  """By data set: the best trained ternary row against what it has to beat.

  Returns:
    `row`, the one of the least mean Frechet distance to training images at its
    rate, named before the test; its `frechet`
    and that over those of the float generator, of the narrow one of as many
    bytes and of the paper's scheme, where these were run.
  """
  found = {}
  for dataset in datasets(summary):
    rows = {row['name']: row for row in of(summary, dataset)}
    trained = [r for r in rows.values() if r['kind'] == 'trained']
    if not trained:
      continue
    row = min(trained, key=_before)
    others = {'float': 'float', 'narrow': 'narrow_1', 'paper': 'paper'}
    found[dataset] = {
      'row': row['name'],
      'frechet': mean(row),
      **{
        f'over_{label}': mean(row) / mean(rows[name])
        for label, name in others.items()
        if name in rows
      },
    }
  return found


def figures(summary: Summary) -> dict[str, figure.Figure]:
  """Figures by file name."""
  drawn = {'frontier': _frontier(summary)}
  if any(row.get('curve') for row in summary['rows']):
    drawn['training'] = _training(summary)
  return drawn


def _frontier(summary: Summary) -> figure.Figure:
  """Frechet distance against bytes, by data set."""
  names = datasets(summary)
  drawn = figure.Figure(figsize=(6.4 * len(names), 5.0))
  axes = drawn.subplots(1, len(names), squeeze=False)[0]
  for axis, dataset in zip(axes, names, strict=True):
    rows = of(summary, dataset)
    for kind, color in _COLORS.items():
      some = [row for row in rows if row['kind'] == kind]
      if not some:
        continue
      axis.errorbar(
        [row['bytes'] for row in some],
        [mean(row) for row in some],
        [deviation(row) for row in some],
        fmt='o-' if kind == 'narrow' else 'o',
        color=color, mfc='w' if kind == 'longer' else color, ms=5, capsize=2,
        lw=1, label=kind,
      )  # fmt: skip
    ternary = [row for row in rows if row['kind'] == 'trained']
    if ternary:
      row = min(ternary, key=_before)
      axis.plot(
        row['bytes_trits'], mean(row), '*', color='C0', ms=11,
        label='the best trained one in trits',
      )  # fmt: skip
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:,.0f}'))
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 3.0)))
    axis.yaxis.set_minor_formatter(ticker.StrMethodFormatter('{x:.0f}'))
    axis.yaxis.set_major_formatter(ticker.StrMethodFormatter('{x:.0f}'))
    axis.set_title(dataset, fontsize=10)
    axis.set_xlabel('bytes of the file')
    axis.grid(True, which='both', lw=0.3)
  axes[0].set_ylabel('squared Frechet distance')
  axes[0].legend(fontsize=8)
  drawn.tight_layout()
  return drawn


def _training(summary: Summary) -> figure.Figure:
  """Frechet distance, zeros and thresholds over training, by data set."""
  names = datasets(summary)
  drawn = figure.Figure(figsize=(14.0, 3.6 * len(names)))
  axes = drawn.subplots(len(names), 3, squeeze=False)
  for line, dataset in zip(axes, names, strict=True):
    for i, row in enumerate(of(summary, dataset)):
      curve = row.get('curve') or []
      steps = [point['step'] for point in curve]
      for axis, prefix in zip(
        line, ('frechet', 'sparsity/', 'threshold/'), strict=True
      ):
        values = [
          [np.mean(v) for k, v in point.items() if k.startswith(prefix)]
          for point in curve
        ]
        if steps and all(values):
          axis.plot(
            steps, [np.mean(v) for v in values], color=f'C{i % 10}',
            ls=('-', '--', ':')[i // 10 % 3], lw=1.2, label=row['label'],
          )  # fmt: skip
    line[0].set_yscale('log')
    for axis, label in zip(
      line,
      ('squared Frechet distance', 'zeros, mean of leaves',
       'threshold / deviation, mean of leaves'),
      strict=True,
    ):  # fmt: skip
      axis.set_title(f'{dataset}: {label}', fontsize=9)
      axis.set_xlabel('generator steps')
  drawn.legend(
    *axes[0, 0].get_legend_handles_labels(), loc='center right', fontsize=7
  )
  drawn.tight_layout(rect=(0.0, 0.0, 0.8, 1.0))
  return drawn

"""Figures of the trials: scores over costs, agreement and bytes, by subject."""

from typing import Any

from matplotlib import figure
from matplotlib import ticker
import numpy as np

from coalesce_jax.metrics import spread
from experiments.pruning import reading
from experiments.pruning import settings
from experiments.pruning import subjects


def frontier(results: reading.Results) -> figure.Figure | None:
  """Draws scores over what a sample costs, by subject.

  The costs are multiply-accumulates, bytes, and milliseconds if they were
  measured.

  Ablations that train no longer than 'density' are left out, and so is what
  trains in short.
  """
  wholes = reading.wholes(results)
  if not wholes:
    return None
  spent = {name: reading.spent(results, name) for name in wholes}
  texts = ['multiply-accumulates, %', 'kilobytes, float32']
  if all(spent.values()):
    texts.append('milliseconds of a single sample, one core')
  drawn, axes = _axes(wholes, 3.6 * len(texts), 5.4, rows=len(texts))
  for column, (name, whole) in enumerate(wholes.items()):
    measure = subjects.SCORES[whole['kind']]
    rows = reading.scored(results, name)
    names = [
      method for method in dict.fromkeys(r['method'] for r in rows)
      if method not in settings.ABLATIONS and not method.endswith('_short')
    ]  # fmt: skip
    for i, method in enumerate(names):
      some = [r for r in rows if r['method'] == method]
      values = [r['scores'][measure] for r in some]
      shares = [100.0 * reading.over(r, whole, 'macs') for r in some]
      # A float has four bytes.
      sizes = [4 * np.mean(r['parameters']) / 1000.0 for r in some]
      times = [spent[name].get(reading.key(r), np.nan) for r in some]
      for axis, at in zip(
        axes[:, column], (shares, sizes, times), strict=False
      ):
        axis.errorbar(
          at, list(map(np.mean, values)), list(map(spread.deviation, values)),
          fmt='k*' if method == 'large' else f'{"os^Dv"[i // 10 % 5]}-',
          capsize=2, label=method,
        )  # fmt: skip
    for axis, text in zip(axes[:, column], texts, strict=True):
      axis.set(xlabel=text, ylabel=measure, title=name, xscale='log')
      axis.set(yscale='log')
      for part in (axis.xaxis, axis.yaxis):
        part.set_major_locator(
          ticker.LogLocator(subs=(1.0, 1.4, 2.0, 3.0, 5.0))
        )
        part.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
        part.set_minor_formatter(ticker.NullFormatter())
    axes[0, column].legend(
      fontsize=6, loc='upper left', bbox_to_anchor=(1.0, 1.0)
    )
  return drawn


def kept(config: Any, results: reading.Results) -> figure.Figure | None:
  """Draws scores over agreement at the middle share, by subject."""
  wholes = reading.wholes(results)
  share = settings.middle(config)
  if not wholes:
    return None
  drawn, axes = _axes(wholes, 4.6, 5.4)
  for axis, (name, whole) in zip(axes[0], wholes.items(), strict=True):
    measure = subjects.SCORES[whole['kind']]
    level = np.mean(whole['scores'][measure])
    axis.axhline(level, color='0.6', ls='--', label='large')
    for i, row in enumerate(reading.scored(results, name)):
      if row.get('share') != share:
        continue
      x, y = (row['scores'][key] for key in ('agreement', measure))
      axis.errorbar(
        np.mean(x), np.mean(y), spread.deviation(y), spread.deviation(x),
        fmt='os^Dv'[i // 10 % 5], capsize=2, label=row['method'],
      )  # fmt: skip
    axis.set(
      xlabel='agreement of local densities', ylabel=measure,
      title=f'{name}, {100 * share:.0f} %',
      yscale='log' if whole['kind'] == 'latent' else 'linear',
    )  # fmt: skip
    # Beside the points, which are many.
    axis.legend(fontsize=6, loc='upper left', bbox_to_anchor=(1.0, 1.0))
  return drawn


def sizes(results: reading.Results) -> figure.Figure | None:
  """Draws scores over bytes, float and ternary, by subject."""
  some = {k: r for k, r in results.items() if 'ternary' in r}
  names = {r['subject'] for r in some.values()}
  wholes = {k: r for k, r in reading.wholes(results).items() if k in names}
  if not wholes:
    return None
  drawn, axes = _axes(wholes, 3.8)
  for axis, (name, whole) in zip(axes[0], wholes.items(), strict=True):
    measure = subjects.SCORES[whole['kind']]
    for key, row in some.items():
      if row['subject'] != name:
        continue
      made, before = row['ternary'], results.get(key.removesuffix('-ternary'))
      large = np.mean(made['large_bytes']) / 1000.0
      if before is None:
        continue
      # A float has four bytes.
      at = [4 * np.mean(before['parameters']), np.mean(made['bytes'])]
      both = [before['scores'][measure], made[measure]]
      axis.errorbar(
        np.divide(at, 1000.0), list(map(np.mean, both)),
        list(map(spread.deviation, both)), fmt='o-', capsize=2,
        label=reading.label(row),
      )  # fmt: skip
    values = whole['scores'][measure]
    axis.errorbar(
      large, np.mean(values), spread.deviation(values), fmt='k*', capsize=2,
      label='large',
    )  # fmt: skip
    axis.set(
      xlabel='kilobytes: float, then ternary', ylabel=measure, title=name
    )
    axis.set_xscale('log')
    axis.set_ylim(bottom=0.0)
    axis.legend(fontsize=7)
  return drawn


def _axes(
  wholes: reading.Results, height: float, width: float = 4.2, rows: int = 1
) -> tuple[figure.Figure, Any]:
  """Returns a figure, and axes: a column for each subject."""
  size = width * len(wholes), height
  drawn = figure.Figure(figsize=size, layout='constrained')
  return drawn, drawn.subplots(rows, len(wholes), squeeze=False)

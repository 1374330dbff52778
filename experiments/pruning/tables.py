"""What the trials say: a table of each subject, and the frontier."""

from typing import Any

from matplotlib import figure
from matplotlib import ticker
import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.trials import trials
from experiments.pruning import settings
from experiments.pruning import subjects

Results = dict[str, dict[str, Any]]
# Methods from which others are subtracted: as it is, and with as many steps as
# new networks.
BASES = ('density', 'density_distilled_long')


def report(config: Any, results: Results) -> trials.Report:
  """Makes the tables and the figures of all results."""
  lines: list[str] = []
  best: dict[str, str] = {}
  gaps: dict[str, dict[str, Any]] = {base: {} for base in BASES}
  for name in dict.fromkeys(r['subject'] for r in results.values()):
    every = [r for r in results.values() if r['subject'] == name]
    rows = _scored(results, name)
    measure = subjects.SCORES[every[0]['kind']]
    spent = _spent(results, name)
    whole = next((r for r in rows if r['method'] == 'large'), None)
    lines += [
      f'{name}', '',
      f'| | MACs, % | parameters | {measure} | agreement | ms a sample |',
      '|---|---:|---:|---:|---:|---:|',
    ]  # fmt: skip
    for row in rows:
      scores = row['scores']
      cells = [
        _share(row, whole), f'{np.mean(row["parameters"]):,.0f}',
        _cell(scores[measure]), _cell(scores.get('agreement')),
        f'{spent[_key(row)]:.4f}' if _key(row) in spent else '',
      ]  # fmt: skip
      lines.append(f'| {_label(row)} | {" | ".join(cells)} |')
    lines += ['', *_ternary(every, measure)]
    for base in BASES:
      gaps[base][name] = differences(rows, measure, base)
      lines += _paired(base, gaps[base][name], measure)
    small = [r for r in rows if r['method'] != 'large']
    if small:
      least = min(small, key=lambda r: np.mean(r['scores'][measure]))
      best[name] = _label(least)
  latent = {k: r for k, r in results.items() if r['kind'] == 'latent'}
  others = {k: r for k, r in results.items() if r['kind'] != 'latent'}
  drawn = {
    'frontier': frontier(latent),
    'agreement': kept(config, latent),
    'translators': kept(config, others),
    'bytes': sizes(latent),
  }
  return trials.Report(
    {'trials': results, 'differences': gaps}, {'best': best},
    '\n'.join(lines),
    figures={name: made for name, made in drawn.items() if made is not None},
  )  # fmt: skip


def frontier(results: Results) -> figure.Figure | None:
  """Draws scores over what a sample costs, by subject.

  The costs are multiply-accumulates, bytes, and milliseconds if they were
  measured.

  Ablations that train no longer than 'density' are left out, and so is what
  trains in short.
  """
  wholes = _wholes(results)
  if not wholes:
    return None
  spent = {name: _spent(results, name) for name in wholes}
  texts = ['multiply-accumulates, %', 'kilobytes, float32']
  if all(spent.values()):
    texts.append('milliseconds of a single sample, one core')
  drawn, axes = _axes(wholes, 3.6 * len(texts), 5.4, rows=len(texts))
  for column, (name, whole) in enumerate(wholes.items()):
    measure = subjects.SCORES[whole['kind']]
    rows = _scored(results, name)
    names = [
      method for method in dict.fromkeys(r['method'] for r in rows)
      if method not in settings.ABLATIONS and not method.endswith('_short')
    ]  # fmt: skip
    for i, method in enumerate(names):
      some = [r for r in rows if r['method'] == method]
      values = [r['scores'][measure] for r in some]
      shares = [100.0 * _over(r, whole, 'macs') for r in some]
      # A float has four bytes.
      sizes = [4 * np.mean(r['parameters']) / 1000.0 for r in some]
      times = [spent[name].get(_key(r), np.nan) for r in some]
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


def _ternary(rows: list[dict[str, Any]], measure: str) -> list[str]:
  """Writes what became ternary: its score over that of the large networks."""
  some = [row for row in rows if 'ternary' in row]
  whole = next((r for r in rows if r['method'] == 'large'), None)
  if not some or whole is None:
    return []
  lines = [
    f'| ternary | {measure} | of the large one | bytes | of the large one |',
    '|---|---:|---:|---:|---:|',
  ]
  for row in some:
    made = row['ternary']
    before = whole['scores'][measure]
    ratios = [a / b for a, b in zip(made[measure], before, strict=True)]
    size = np.mean(made['bytes'])
    cells = [
      _cell(made[measure]), _cell(ratios), f'{size:,.0f}',
      f'1/{np.mean(made["large_bytes"]) / size:.1f}',
    ]  # fmt: skip
    lines.append(f'| {_label(row)} | {" | ".join(cells)} |')
  return [*lines, '']


def kept(config: Any, results: Results) -> figure.Figure | None:
  """Draws scores over agreement at the middle share, by subject."""
  wholes = _wholes(results)
  share = settings.middle(config)
  if not wholes:
    return None
  drawn, axes = _axes(wholes, 4.6, 5.4)
  for axis, (name, whole) in zip(axes[0], wholes.items(), strict=True):
    measure = subjects.SCORES[whole['kind']]
    level = np.mean(whole['scores'][measure])
    axis.axhline(level, color='0.6', ls='--', label='large')
    for i, row in enumerate(_scored(results, name)):
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


def sizes(results: Results) -> figure.Figure | None:
  """Draws scores over bytes, float and ternary, by subject."""
  some = {k: r for k, r in results.items() if 'ternary' in r}
  names = {r['subject'] for r in some.values()}
  wholes = {k: r for k, r in _wholes(results).items() if k in names}
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
        label=_label(row),
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


def _wholes(results: Results) -> Results:
  """Returns the large networks by subject."""
  return {r['subject']: r for r in results.values() if r['method'] == 'large'}


def _scored(results: Results, name: str) -> list[dict[str, Any]]:
  """Returns the rows of a subject that have scores."""
  return [
    row for row in results.values()
    if row['subject'] == name and 'scores' in row
  ]  # fmt: skip


def _axes(
  wholes: Results, height: float, width: float = 4.2, rows: int = 1
) -> tuple[figure.Figure, Any]:
  """Returns a figure, and axes: a column for each subject."""
  size = width * len(wholes), height
  drawn = figure.Figure(figsize=size, layout='constrained')
  return drawn, drawn.subplots(rows, len(wholes), squeeze=False)


def differences(
  rows: list[dict[str, Any]], measure: str, base: str = BASES[0]
) -> dict[str, dict[str, list[float]]]:
  """Returns scores less those of another method, seed by seed.

  Args:
    rows: the rows of a subject.
    measure: name of its main score.
    base: the other method, at the same share.

  Returns:
    Differences `[S]` by label of a row, and by name of a score.
  """
  own = {r['share']: r for r in rows if r['method'] == base}
  found: dict[str, dict[str, list[float]]] = {}
  for row in rows:
    if row.get('share') not in own or row['method'] == base:
      continue
    theirs, scores = own[row['share']]['scores'], row['scores']
    found[_label(row)] = {
      name: [a - b for a, b in zip(scores[name], theirs[name], strict=True)]
      for name in (measure, 'agreement')
      if name in scores and name in theirs
    }
  return found


def _paired(
  base: str, gaps: dict[str, dict[str, list[float]]], measure: str
) -> list[str]:
  if not gaps:
    return []
  lines = [
    f'| less {base}, seed by seed | {measure} | agreement |',
    '|---|---:|---:|',
  ]  # fmt: skip
  for label, row in gaps.items():
    cells = [_cell(row.get(name)) for name in (measure, 'agreement')]
    lines.append(f'| {label} | {" | ".join(cells)} |')
  return [*lines, '']


def _label(row: dict[str, Any]) -> str:
  if 'share' not in row:
    return str(row['method'])
  return f'{row["method"]}, {100 * row["share"]:.0f} %'


def _key(row: dict[str, Any]) -> str:
  """Returns the name by which a row is timed."""
  if 'share' not in row:
    return str(row['method'])
  return f'{row["method"]}_{round(100 * row["share"])}'


def _spent(results: Results, name: str) -> dict[str, float]:
  """Returns milliseconds of single samples of a subject's first seed."""
  for row in results.values():
    if row['subject'] == name and row['method'] == 'times':
      return dict(row['milliseconds'].get('1', {}))
  return {}


def _share(row: dict[str, Any], whole: dict[str, Any] | None) -> str:
  if whole is None:
    return ''
  return f'{100.0 * _over(row, whole, "macs"):.1f}'


def _over(row: dict[str, Any], whole: dict[str, Any], name: str) -> float:
  """Returns how large a row is, as a share of the large networks."""
  return float(np.mean(row[name]) / np.mean(whole[name]))


def _cell(values: list[float] | None) -> str:
  if values is None:
    return ''
  digits = 1 if np.mean(np.abs(values)) >= 10.0 else 3
  if len(values) == 1:
    return f'{values[0]:.{digits}f}'
  return spread.text(values, digits)

"""What the trials say: a table of each subject, and the figures."""

from typing import Any

import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.trials import trials
from experiments.pruning import plots
from experiments.pruning import reading
from experiments.pruning import subjects

# Methods from which others are subtracted: as it is, and with as many steps as
# new networks.
BASES = ('density', 'density_distilled_long')


def report(config: Any, results: reading.Results) -> trials.Report:
  """Makes the tables and the figures of all results."""
  lines: list[str] = []
  best: dict[str, str] = {}
  gaps: dict[str, dict[str, Any]] = {base: {} for base in BASES}
  for name in dict.fromkeys(r['subject'] for r in results.values()):
    every = [r for r in results.values() if r['subject'] == name]
    rows = reading.scored(results, name)
    measure = subjects.SCORES[every[0]['kind']]
    spent = reading.spent(results, name)
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
        f'{spent[reading.key(row)]:.4f}' if reading.key(row) in spent else '',
      ]  # fmt: skip
      lines.append(f'| {reading.label(row)} | {" | ".join(cells)} |')
    lines += ['', *_ternary(every, measure)]
    for base in BASES:
      gaps[base][name] = differences(rows, measure, base)
      lines += _paired(base, gaps[base][name], measure)
    small = [r for r in rows if r['method'] != 'large']
    if small:
      least = min(small, key=lambda r: np.mean(r['scores'][measure]))
      best[name] = reading.label(least)
  latent = {k: r for k, r in results.items() if r['kind'] == 'latent'}
  others = {k: r for k, r in results.items() if r['kind'] != 'latent'}
  drawn = {
    'frontier': plots.frontier(latent),
    'agreement': plots.kept(config, latent),
    'translators': plots.kept(config, others),
    'bytes': plots.sizes(latent),
  }
  return trials.Report(
    {'trials': results, 'differences': gaps}, {'best': best},
    '\n'.join(lines),
    figures={name: made for name, made in drawn.items() if made is not None},
  )  # fmt: skip


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
    lines.append(f'| {reading.label(row)} | {" | ".join(cells)} |')
  return [*lines, '']


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
    found[reading.label(row)] = {
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


def _share(row: dict[str, Any], whole: dict[str, Any] | None) -> str:
  if whole is None:
    return ''
  return f'{100.0 * reading.over(row, whole, "macs"):.1f}'


def _cell(values: list[float] | None) -> str:
  if values is None:
    return ''
  digits = 1 if np.mean(np.abs(values)) >= 10.0 else 3
  if len(values) == 1:
    return f'{values[0]:.{digits}f}'
  return spread.text(values, digits)

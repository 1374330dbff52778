"""Tables of the few-shot experiment, and who was better."""

from typing import Any

import numpy as np

from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import spread
from coalesce_jax.trials import methods
from coalesce_jax.trials import selection

Summary = dict[str, Any]

# Measure -> heading and digits.
_COLUMNS = {
  'frechet': ('Frechet', 1),
  'kid': ('KID', 3),
  'coverage': ('coverage', 2),
  'precision': ('precision', 2),
  'recall': ('recall', 2),
  'density': ('density', 2),
  'class_tv': ('classes', 2),
  'memorisation': ('memorisation', 2),
  'copied': ('copied', 2),
  'w1': ('W1', 2),
}


def groups(summary: Summary) -> list[tuple[str, int]]:
  """Settings and numbers of samples, in order."""
  return list(
    dict.fromkeys((r['setting'], r['samples']) for r in summary['rows'])
  )


def of(summary: Summary, setting: str, samples: int) -> list[dict[str, Any]]:
  """The rows of a setting and a number of samples."""
  return [
    r
    for r in summary['rows']
    if (r['setting'], r['samples']) == (setting, samples)
  ]


def name(row: dict[str, Any]) -> str:
  """A method with its variant."""
  if row['variant'] is None:
    return row['label']
  return f'{row["label"]} {row["variant"]:g}'


def mean(row: dict[str, Any], measure: str = 'frechet') -> float:
  """Over seeds."""
  # A score that is not defined is None.
  return float(np.mean(np.array(row['scores'][measure], float)))


def deviation(row: dict[str, Any], measure: str = 'frechet') -> float:
  """Over seeds, of a sample."""
  return spread.deviation(row['scores'][measure])


def held_out(rows: list[dict[str, Any]], method: str) -> dict[str, Any] | None:
  """The row in which every seed takes the variant nearest to held-out samples.

  Without a look at the target: the held-out ones are local samples.
  """
  some = [r for r in rows if r['method'] == method]
  if len(some) < 2:
    return None
  near = np.array([r['scores']['held_out'] for r in some])
  best = np.argmin(near, 0)
  scores = {
    k: [some[v]['scores'][k][s] for s, v in enumerate(best)]
    for k in some[0]['scores']
  }
  label = f'{some[0]["label"]}, by held-out samples'
  return some[0] | {
    'label': label, 'variant': None, 'scores': scores,
    # Of every seed its own.
    'step': None,
  }  # fmt: skip


def write(summary: Summary) -> str:
  """Markdown: who is ahead, Frechet distances by setting, then every row."""
  lines = ['# Few local samples', '', *_ahead(summary), *_overview(summary)]
  for setting, samples in groups(summary):
    rows = of(summary, setting, samples)
    measures = [m for m in _COLUMNS if m in rows[0]['scores']]
    lines += [f'## {setting}, {samples} local samples', '']
    heads = [_COLUMNS[m][0] for m in measures]
    lines += [
      '| method | rate | of G | step | ms | ' + ' | '.join(heads) + ' |',
      '|---|---:|---:|---:|---:|' + '---:|' * len(heads),
    ]
    more = [held_out(rows, m) for m in dict.fromkeys(r['method'] for r in rows)]
    for row in [*rows, *[r for r in more if r is not None]]:
      cells = [_cell(row, m, _COLUMNS[m][1]) for m in measures]
      rate, of_generator = row['rate'], row['rate'] * row['generator_rate']
      steps = f'{rate:g} | {of_generator:g} | {row["step"]}'
      if not row['step']:
        steps = ' |  | '
      steps += f' | {_ms(row["step_ms"])}'
      lines.append(f'| {name(row)} | {steps} | ' + ' | '.join(cells) + ' |')
    lines.append('')
  return '\n'.join(lines)


def _ahead(summary: Summary) -> list[str]:
  """A row a setting and number of samples, of `best`."""
  found = best(summary)
  if not found:
    return []
  lines = [
    '## Ours, named by the tuning, less the best baseline', '',
    '| setting | samples | ours | Frechet | baseline | Frechet | seed by seed '
    '| coverage | copied | steps to its best | ms a step |',
    '|---|---:|---|---:|---|---:|---:|---:|---:|---:|---:|',
  ]  # fmt: skip
  for row in found:
    cells = [
      row['setting'], f'{row["samples"]:,}', row['ours'],
      _spread(row['frechet'], row['deviation']), row['baseline'],
      _spread(row['baseline_frechet'], row['baseline_deviation']),
      _spread(row['difference'], row['difference_deviation']),
      *(
        f'{row[m]:.2f}, {row[f"baseline_{m}"]:.2f}'
        for m in ('coverage', 'copied')
      ),
      _reached(row), f'{_ms(row["step_ms"])}, {_ms(row["baseline_step_ms"])}',
    ]  # fmt: skip
    lines.append('| ' + ' | '.join(cells) + ' |')
  return [*lines, '']


def _ms(value: float | None) -> str:
  """Milliseconds; of what takes no steps a dash."""
  return '-' if value is None else f'{value:.0f}'


def _reached(row: dict[str, Any]) -> str:
  """Steps of ours to the best point of the baseline's curve, and its steps."""
  if 'steps' not in row:
    return ''
  mine = 'not reached' if row['steps'] is None else f'{row["steps"]}'
  return f'{mine} of {row["baseline_steps"]}'


def _overview(summary: Summary) -> list[str]:
  """Frechet distances: a table a setting, a row a method."""
  lines = []
  counts = sorted({r['samples'] for r in summary['rows']})
  for setting in dict.fromkeys(r['setting'] for r in summary['rows']):
    rows = [r for r in summary['rows'] if r['setting'] == setting]
    lines += [
      f'## {setting}, Frechet distance by local samples', '',
      '| method | ' + ' | '.join(f'{n:,}' for n in counts) + ' |',
      '|---|' + '---:|' * len(counts),
    ]  # fmt: skip
    for method in dict.fromkeys(r['method'] for r in rows):
      some = [r for r in rows if r['method'] == method and r['chosen']]
      cells = {r['samples']: _spread(mean(r), deviation(r)) for r in some}
      label = some[0]['label'] if some else method
      lines.append(
        f'| {label} | ' + ' | '.join(cells.get(n, '') for n in counts) + ' |'
      )
    lines.append('')
  return lines


def _spread(value: float, apart: float, digits: int = 1) -> str:
  return f'{value:.{digits}f} ± {apart:.{digits}f}'


def _cell(row: dict[str, Any], measure: str, digits: int) -> str:
  if measure == 'frechet':
    return _spread(mean(row), deviation(row), digits)
  return f'{mean(row, measure):.{digits}f}'


def best(summary: Summary) -> list[dict[str, Any]]:
  """For every setting and number of samples: ours against the baselines.

  Ours is the row of the best score in the tuning among those whose copies were
  few enough there: it is named before the test.
  Of the baselines it is the best in the test. All training images and ternary
  weights do not count. `difference` is ours less theirs, seed by seed: both had
  the same nodes and the same local samples. `step_ms` are of a step of one
  seed among all of them. Those of which a method is not tested yet are left
  out.
  """
  tuned = {
    (c['setting'], c['samples'], c['method'], c['value']): selection.rank(c)
    for c in summary['choices']
  }

  def before(row: dict[str, Any]) -> tuple[bool, float]:
    of_row = (row[k] for k in ('setting', 'samples', 'method', 'value'))
    return tuned.get(tuple(of_row), (True, np.inf))

  found = []
  for setting, samples in groups(summary):
    tested = of(summary, setting, samples)
    if {r['method'] for r in tested} != set(summary['methods']):
      continue
    rows = [r for r in tested if methods.TABLE[r['method']].competes]
    ours = [r for r in rows if r['ours'] and np.isfinite(before(r)[1])]
    theirs = [r for r in rows if not r['ours'] and r['chosen']]
    if not ours or not theirs:
      continue
    a, b = min(ours, key=before), min(theirs, key=mean)
    apart = np.subtract(a['scores']['frechet'], b['scores']['frechet'])
    found.append(
      {
        'setting': setting,
        'samples': samples,
        'ours': name(a),
        'frechet': mean(a),
        'deviation': deviation(a),
        'baseline': name(b),
        'baseline_frechet': mean(b),
        'baseline_deviation': deviation(b),
        'difference': float(np.mean(apart)),
        'difference_deviation': spread.deviation(apart),
        'coverage': mean(a, 'coverage'),
        'baseline_coverage': mean(b, 'coverage'),
        'copied': mean(a, 'copied'),
        'baseline_copied': mean(b, 'copied'),
        'step_ms': a['step_ms'],
        'baseline_step_ms': b['step_ms'],
        **steps(a, b),
      }
    )
  return found


def steps(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
  """Steps to the least mean of the baseline's curve; None: not reached.

  Of both curves only where copies are no more than those of real images.
  """
  curve = _means(theirs)
  if not curve:
    return {}
  least = min(curve.values())
  at = next(step for step, value in curve.items() if value == least)
  reached = [step for step, value in _means(ours).items() if value <= least]
  return {'steps': min(reached, default=None), 'baseline_steps': at}


def _means(row: dict[str, Any]) -> dict[int, float]:
  """Over seeds, by step."""
  found = {int(k): float(np.mean(v)) for k, v in row['curve'].items()}
  copies = {int(k): float(np.mean(v)) for k, v in row['copies'].items()}
  kept = {k: v for k, v in found.items() if copies[k] <= evaluate.NEAR}
  return kept or found

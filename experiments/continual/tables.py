"""What the trials say: a row for each learner, matrices, and two figures.

Shapes: T tasks, S seeds.
"""

from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.continual import scores as scores_lib
from coalesce_jax.pipeline import stream_tables
from coalesce_jax.trials import trials
from experiments.continual import scoring

CONTROLS, PIGGYBACK = 'controls', 'piggyback_1_4'


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the tables and the figures of the trials that are done."""
  measures = scoring.MEASURES[config.kind]
  rows = {
    name: _summary(name, results, measures)
    for name in results
    if name != CONTROLS
  }
  lines: list[str] = []
  for measure in measures:
    lines += [_overview(rows, measure), '']
  if CONTROLS in results:
    lines += [_controls(results[CONTROLS]['controls'], measures), '']
  main = measures[0]
  for name, row in rows.items():
    matrix = _array(results[name]['scores'][main])
    lines += [f'{name}:', '', stream_tables.matrix(row['tasks'], matrix, main)]
  figures: dict[str, figure.Figure] = {}
  if rows:
    tasks = next(iter(rows.values()))['tasks']
    figures['matrices'] = stream_tables.heat(
      tasks,
      {name: _array(results[name]['scores'][main]) for name in rows},
      main,
    )
    figures['sizes'] = _sizes(rows, main)
  final = {
    name: float(np.nanmean(row[main]['final'])) for name, row in rows.items()
  }
  return trials.Report({'rows': rows}, {main: final}, '\n'.join(lines), figures)


def _array(values: Any) -> np.ndarray:
  """Returns numbers in which None stands for NaN."""
  return np.array(values, dtype=object).astype(np.float64)


def _summary(
  name: str, results: dict[str, dict[str, Any]], measures: tuple[str, ...]
) -> dict[str, Any]:
  """Returns sizes, and of each measure means over tasks, `[S]`.

  `later` is the score after the last task, of all tasks but the first, and
  `behind` how much it is above that of a network for each task alone;
  `behind_each` is this for each task. `less_piggyback` is `later` less that of
  Piggyback GAN at a quarter.
  """
  result = results[name]
  whole, stored = result['whole'], result['stored']
  found: dict[str, Any] = {
    'tasks': result['tasks'],
    'added': float(np.mean(stored[1:])) / whole if len(stored) > 1 else 0.0,
    'stored': int(np.sum(stored)),
    'bytes': int(np.sum(result['bytes'])),
    'carried': result['carried'][-1] if result['carried'] else 0,
    'counted': result.get('counted'),
  }
  for measure in measures:
    matrix = _array(result['scores'][measure])
    alone = _alone(results, measure, matrix.shape)
    if np.isnan(matrix[0, 0]).any():
      # Learned all tasks at once, at the end.
      each = {'final': matrix[-1]}
    else:
      each = scores_lib.summary(matrix, alone)
    found[measure] = {key: value.mean(0) for key, value in each.items()}
    found[measure]['later'] = matrix[-1, 1:].mean(0)
    if alone is not None:
      behind = matrix[-1, 1:] - alone[1:]
      found[measure]['behind'] = behind.mean(0)
      found[measure]['behind_each'] = dict(
        zip(result['tasks'][1:], behind, strict=True)
      )
    if PIGGYBACK in results:
      other = _array(results[PIGGYBACK]['scores'][measure])
      if other.shape == matrix.shape:
        less = matrix[-1, 1:] - other[-1, 1:]
        found[measure]['less_piggyback'] = less.mean(0)
  return found


def _alone(
  results: dict[str, dict[str, Any]], measure: str, shape: tuple[int, ...]
) -> np.ndarray | None:
  """Returns scores of a network for each task alone, `[T, S]`, if any."""
  if 'standalone' not in results:
    return None
  matrix = _array(results['standalone']['scores'][measure])
  if matrix.shape != shape:
    return None
  return np.stack([matrix[t, t] for t in range(len(matrix))])


def _overview(rows: dict[str, dict[str, Any]], measure: str) -> str:
  parts = (
    'learned', 'final', 'forgetting', 'later', 'behind', 'less_piggyback',
  )  # fmt: skip
  lines = [
    f'| {measure} | {" | ".join(parts)} | added share | bytes | carried |',
    '|---|' + '---:|' * (len(parts) + 3),
  ]
  for name, row in rows.items():
    cells = [stream_tables.cell(row[measure].get(p, np.nan)) for p in parts]
    cells += [f'{row["added"]:.3f}', str(row['bytes']), str(row['carried'])]
    lines.append(f'| {name} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _controls(
  controls: dict[str, dict[str, Any]], measures: tuple[str, ...]
) -> str:
  kinds = list(dict.fromkeys(k for each in controls.values() for k in each))
  lines = [
    f'| control | {" | ".join(controls)} |',
    '|---|' + '---:|' * len(controls),
  ]
  for kind in kinds:
    for measure in measures:
      cells = [
        stream_tables.cell(each.get(kind, {}).get(measure))
        for each in controls.values()
      ]
      lines.append(f'| {kind}, {measure} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _sizes(rows: dict[str, dict[str, Any]], measure: str) -> figure.Figure:
  """Draws the final score against what later tasks add."""
  drawn = figure.Figure(figsize=(6.4, 4.4), layout='constrained')
  axis = drawn.subplots()
  for name, row in rows.items():
    values = np.asarray(row[measure]['final'])
    axis.errorbar(
      row['added'], values.mean(), np.ptp(values) / 2.0, fmt='o', capsize=2
    )
    axis.annotate(name, (row['added'], values.mean()), fontsize=7)
  axis.set(
    xlabel='parameters that a later task adds, share of a network',
    ylabel=f'{measure} after the last task, mean over tasks',
  )
  axis.set_ylim(bottom=0.0)
  return drawn

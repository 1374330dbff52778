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

# Rows in words, for figures.
LABELS = {
  'standalone': 'a network for each task',
  'sequential': 'one network, trains on',
  'ewc': 'one network, EWC',
  'l2': 'one network, L2',
  'replay': 'one network, replay',
  'distillation': 'one network, distillation',
  'joint': 'all tasks at once',
  'narrower': 'a narrower network for each task',
  'random_bank': 'Piggyback, 1/4, random bank',
  'piggyback_random_start': 'Piggyback, 1/4, random start',
  'piggyback_0': 'Piggyback, 0',
  'piggyback_1_8': 'Piggyback, 1/8',
  'piggyback_1_4': 'Piggyback, 1/4',
  'piggyback_1_2': 'Piggyback, 1/2',
  'piggyback_1': 'Piggyback, 1',
  'taps': 'selected layers (TAPS)',
  'taps_sparse': 'fewer layers (TAPS)',
  'adapters': 'adapters (CAM-GAN)',
  'adapters_similar': 'adapters, most similar start',
  'scale_shift': 'scales, shifts (GAN Memory)',
  'low_rank': 'scales, shifts of low rank',
  'last_layer': 'last layer',
}
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
  """Draws the score of later tasks, and beside it what each of them adds."""
  drawn = figure.Figure(
    figsize=(8.0, 1.0 + 0.24 * len(rows)), layout='constrained'
  )
  left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(3, 1))
  order = sorted(rows, key=lambda name: -np.mean(rows[name][measure]['later']))
  at = np.arange(len(order))
  values = [np.asarray(rows[name][measure]['later']) for name in order]
  colors = ['C1' if name == PIGGYBACK else 'C0' for name in order]
  left.barh(at, [v.mean() for v in values], color=colors, alpha=0.6)
  for y, each in zip(at, values, strict=True):
    left.plot(each, np.full(len(each), y), 'k.', markersize=3)
  right.barh(at, [100.0 * rows[name]['added'] for name in order], color=colors)
  left.set(
    xlabel=f'{measure} of later tasks after the last one; dots are seeds',
    yticks=at, yticklabels=[LABELS.get(name, name) for name in order],
  )  # fmt: skip
  right.set(xlabel='added by a task, %')
  return drawn

"""What the trials say: a row for each method, a curve, and two figures.

Shapes: S seeds, T tasks.
"""

from typing import Any

from matplotlib import figure
from matplotlib import ticker
import numpy as np
from scipy import stats

from coalesce_jax.trials import trials
from experiments.federated import rows as rows_lib


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the table and the figures of the trials that are done."""
  del config
  results = dict(results)
  timed = results.pop('speed', None)
  rows = {name: summary(result) for name, result in results.items()}
  if rows_lib.MAIN in rows:
    main = results[rows_lib.MAIN]
    for name, result in results.items():
      rows[name] |= ahead(main, result)
  lines = [
    f'| row | accuracy, % | {rows_lib.MAIN} ahead, points | over nodes '
    '| static, % | MACs, share | static MACs, share | KB a round '
    '| gradient, first to last | overlap, similar and other |',
    '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
  ]
  for name, row in rows.items():
    first, last = row['gradient_squared']
    norms = '' if first is None else f'{first:.3g} to {last:.3g}'
    alike = ' and '.join(
      '-' if row['overlap'][k] is None else f'{row["overlap"][k]:.3f}'
      for k in ('similar', 'dissimilar')
    )
    lines.append(
      f'| {name} | {_percent(row["accuracy"], row["interval"])} '
      f'| {_ahead(name, row, "ahead_interval")} '
      f'| {_ahead(name, row, "ahead_node_interval")} '
      f'| {_percent(row["static"], row["static_interval"])} '
      f'| {row["macs"]:.3f} | {row["static_macs"]:.3f} '
      f'| {row["kilobytes"]:.0f} | {norms} | {alike} |'
    )
  lines = [*lines, '', *_one_shot(results)] if rows else []
  text = '\n'.join([*lines, *_timed(timed)])
  figures = {}
  if rows:
    figures = {'errors': _errors(rows), 'gradients': _gradients(results)}
  if timed is not None:
    figures['speed'] = _speed(timed)
  if any(name.startswith('rho_') for name in rows):
    figures['curve'] = _curve(rows)
  line = {name: round(row['accuracy'], 4) for name, row in rows.items()}
  made = {'rows': rows, 'speed': timed, 'trials': results}
  return trials.Report(made, {'accuracy': line}, text, figures)


def summary(result: dict[str, Any]) -> dict[str, Any]:
  """Returns means over seeds and tasks, and intervals.

  Returns:
    `interval` is the half width of the 95 % interval over tasks of the means
    over seeds, and `node_interval` over the nodes that the tasks are of;
    `by_seed` are means over tasks.
  """
  accuracy = np.array(result['accuracy'])
  static = np.array(result['static_accuracy'])
  whole = result['dense_macs']
  norms = [np.mean(row['gradient_squared']) for row in result['curve']]
  tenth = max(1, len(norms) // 10)
  ends: list[float | None] = [None, None]
  if norms:
    ends = [float(np.mean(norms[:tenth])), float(np.mean(norms[-tenth:]))]
  return {
    'accuracy': float(accuracy.mean()),
    'interval': interval(accuracy),
    'node_interval': node_interval(accuracy, result.get('nodes')),
    'by_seed': accuracy.mean(1),
    'validation': result['validation'],
    'static': float(static.mean()),
    'static_interval': interval(static),
    'macs': result['macs'] / whole,
    'static_macs': result['static_macs'] / whole,
    'kilobytes': result['bytes_per_round'] / 1024,
    'gradient_squared': ends,
    'overlap': result['overlap'],
    'scale': result['scale'],
    'runs': result['runs'],
  }


def ahead(
  main: dict[str, Any], result: dict[str, Any]
) -> dict[str, float | None]:
  """Returns how far a row is ahead of another one on the same tasks.

  Returns:
    `ahead`, the mean difference of accuracies, and the half widths of its 95 %
    intervals, `ahead_interval` over tasks and `ahead_node_interval` over nodes.
  """
  one, other = np.array(main['accuracy']), np.array(result['accuracy'])
  if one.shape != other.shape:
    return dict.fromkeys(('ahead', 'ahead_interval', 'ahead_node_interval'))
  each = one - other
  return {
    'ahead': float(each.mean()),
    'ahead_interval': interval(each),
    'ahead_node_interval': node_interval(each, main.get('nodes')),
  }


def interval(accuracy: np.ndarray) -> float:
  """Returns the half width of the 95 % interval of the mean over tasks.

  Args:
    accuracy: `[S, T]`. Tasks are the sample; seeds are averaged first.
  """
  each = accuracy.mean(0)
  if len(each) < 2:
    return 0.0
  return float(1.96 * each.std(ddof=1) / np.sqrt(len(each)))


def node_interval(accuracy: np.ndarray, nodes: int | None) -> float | None:
  """Returns the half width of the 95 % interval of the mean over nodes.

  Tasks of one node are alike, so that they say less of other nodes than as many
  tasks of different ones. It is Student's interval of the means of nodes.

  Args:
    accuracy: `[S, T]`, of tasks of all nodes in turn.
    nodes: number of nodes; None if it is not known.
  """
  each = accuracy.mean(0)
  if nodes is None or min(nodes, len(each)) < 2:
    return None
  count = min(nodes, len(each))
  means = np.array([each[i::nodes].mean() for i in range(count)])
  wide = stats.t.ppf(0.975, count - 1)
  return float(wide * means.std(ddof=1) / np.sqrt(count))


def _ahead(name: str, row: dict[str, Any], half: str) -> str:
  mean, wide = row.get('ahead'), row.get(half)
  if name == rows_lib.MAIN or mean is None or wide is None:
    return ''
  return _percent(mean, wide)


def _percent(mean: float, half: float) -> str:
  return f'{100 * mean:.1f} ± {100 * half:.1f}'


def _one_shot(results: dict[str, dict[str, Any]]) -> list[str]:
  """Returns the table of the official one-shot runs, if there are any."""
  found = {k: v['runs'] for k, v in results.items() if v['runs'] is not None}
  if not found:
    return []
  lines = ['| row | 20-way one-shot runs, % |', '|---|---:|']
  lines += [
    f'| {name} | {100 * float(np.mean(runs)):.1f} |'
    for name, runs in found.items()
  ]
  return [*lines, '']


def _timed(timed: dict[str, Any] | None) -> list[str]:
  """Returns a line on the time of a round, if it was measured."""
  if timed is None:
    return []
  medians, ratios = timed['medians'], timed['ratios']
  lines = [
    f'A round of {timed["nodes"]} nodes takes {medians["program"]:.2f} s. It '
    f'takes {ratios["side_by_side"]:.2f} times as long with all nodes side by '
    f'side, and {ratios["one_by_one"]:.2f} times as a program for each node.',
    '',
  ]
  for way, ratio in timed.get('peers', {}).get('ratios', {}).items():
    lines += [
      f'PyTorch takes {ratio:.2f} times as long as ours without gates ({way}).',
      '',
    ]
  return lines


def _speed(timed: dict[str, Any]) -> figure.Figure:
  """Draws how long other ways to compute a round take, of the usual one."""
  texts = {
    'side_by_side': 'all nodes side by side', 'one_by_one': 'a program a node',
    'vmap': 'without gates: PyTorch, vmap',
    'loop': 'without gates: PyTorch, loop',
  }  # fmt: skip
  ratios = timed['ratios'] | timed.get('peers', {}).get('ratios', {})
  drawn = figure.Figure(figsize=(6.4, 2.4), layout='constrained')
  axis = drawn.subplots()
  names = list(reversed(ratios))
  bars = axis.barh([texts[n] for n in names], [ratios[n] for n in names])
  axis.bar_label(bars, fmt='%.2f', padding=3)
  axis.axvline(1.0, color='0.4', lw=1.0)
  axis.set(xlabel='times as long as one program, node after node')
  axis.margins(x=0.1)
  return drawn


def _errors(rows: dict[str, dict[str, Any]]) -> figure.Figure:
  """Draws a line for each row, the best at the top: errors and intervals."""
  order = sorted(rows, key=lambda name: rows[name]['accuracy'])
  height = 0.9 + 0.25 * len(order)
  drawn = figure.Figure(figsize=(6.4, height), layout='constrained')
  axis = drawn.subplots()
  for y, name in enumerate(order):
    row = rows[name]
    colour = 'C1' if name == rows_lib.MAIN else 'C0'
    wrong, half = 100.0 * (1.0 - row['accuracy']), 100.0 * row['interval']
    axis.errorbar(wrong, y, xerr=half, fmt='o', capsize=2, color=colour)
  labels = [f'{name}, {100 * rows[name]["macs"]:.0f} %' for name in order]
  axis.set_yticks(range(len(order)), labels)
  axis.set(xlabel='wrong after one step, %', xscale='log')
  axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
  axis.xaxis.set_major_formatter(ticker.StrMethodFormatter('{x:g}'))
  axis.xaxis.set_minor_formatter(ticker.NullFormatter())
  axis.grid(axis='x', alpha=0.3)
  return drawn


def _curve(rows: dict[str, dict[str, Any]]) -> figure.Figure:
  """Draws errors of static networks against cost; rows over rho are joined."""
  drawn = figure.Figure(figsize=(6.4, 4.0), layout='constrained')
  axis = drawn.subplots()
  places = {
    name: (row['static_macs'], 100.0 * (1.0 - row['static']))
    for name, row in rows.items()
    if name.startswith('rho_') or name in (rows_lib.DENSE, rows_lib.MAIN)
  }
  curve = [place for name, place in places.items() if name.startswith('rho_')]
  axis.plot(*zip(*sorted(curve), strict=True), 'o-')
  for name, place in places.items():
    axis.plot(*place, 'o')
    axis.annotate(name, place, (4, 4), textcoords='offset points', fontsize=8)
  axis.set(
    xlabel='multiply-accumulates, share of the dense network',
    ylabel='wrong after one step, %',
  )
  return drawn


def _gradients(results: dict[str, dict[str, Any]]) -> figure.Figure:
  """Draws the squared norm of the mean gradient over rounds."""
  drawn = figure.Figure(figsize=(6.4, 4.0), layout='constrained')
  axis = drawn.subplots()
  for name in (rows_lib.DENSE, rows_lib.MAIN):
    curve = results.get(name, {}).get('curve', [])
    if curve:
      norms = [np.mean(row['gradient_squared']) for row in curve]
      axis.plot([row['step'] for row in curve], norms, label=name)
  axis.set(xlabel='round', ylabel='squared norm of the meta-gradient')
  if axis.lines:
    axis.set_yscale('log')
    axis.legend()
  return drawn

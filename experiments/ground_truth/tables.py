"""Tables of the ground truths, in Markdown."""

from collections.abc import Callable
from typing import Any

from experiments.ground_truth import peers

Summary = dict[str, Any]
Rows = list[dict[str, Any]]


def tables(summary: Summary) -> str:
  """All of them, those that have something to show, under titles."""
  rows = summary['rows']
  # Values that a recursion returns are those of its last round.
  returned = [r for r in rows if r.get('returned_gap') is not None]
  unique = [r for r in rows if r.get('distance_to_truth') is not None]
  parts = {
    'Gap of the objective, worst seed': by_dimension(
      rows, lambda r: r['relative_gap']
    ),
    'Gap of the value that the game returned, mean over seeds': by_dimension(
      returned, lambda r: r['returned_gap']
    ),
    'W1 from what came back to the answer, worst seed, in shares of the '
    'distance between the first law and the last': by_dimension(
      unique,
      lambda r: (
        max(s['distance_to_truth'] for s in r['seeds'])
        / r.get('span', r['true_value'])
      ),
    ),
    'Corrupted nodes, worst seed': table(
      summary['robustness'],
      {
        'objective': 'objective', 'K': 'K', 'corrupted': 'corrupted',
        'kind': 'kind', 'moved': 'barycenter moved',
        'mixture_moved': 'mixture moved',
        'model_average_moved': 'model average moved',
        'ratio': 'barycenter / mixture',
      },
    ),
    'Known pairs': table(
      summary['known_pairs'],
      {
        'D': 'D', 'family': 'family', 'true_w1': 'true W1',
        'lower': 'lower bound', 'upper': 'upper bound', 'plug_in': 'plug-in',
        'plug_in_same_law': 'plug-in of one law',
        'sinkhorn_divergence': 'Sinkhorn divergence',
        'sinkhorn_same_law': 'Sinkhorn divergence of one law',
      },
    ),
    'Ours and POT': peers.table(summary['peers']) if summary['peers'] else '',
    'All rows': table(
      rows,
      {
        'truth': 'truth', 'objective': 'objective', 'method': 'method',
        'D': 'D', 'true_value': 'true value', 'value': 'upper bound',
        'lower_value': 'lower bound', 'relative_gap': 'worst gap',
        'returned_value': 'returned', 'returned_gap': 'its gap',
        'position': 'position', 'distance_to_truth': 'W1 to the answer',
        'training_seconds': 's',
      },
      percent=('relative_gap', 'returned_gap'),
    ),
  }  # fmt: skip
  return '\n'.join(f'## {k}\n\n{v}' for k, v in parts.items() if v)


def by_dimension(rows: Rows, value: Callable[[dict[str, Any]], float]) -> str:
  """A line a truth, objective, method and K, a column a dimension; percent."""
  dims = sorted({r['D'] for r in rows})
  found: dict[tuple[str, ...], dict[int, float]] = {}
  for row in rows:
    line = (name(row), row['objective'], row['method'])
    found.setdefault(line, {})[row['D']] = 100.0 * value(row)
  lines: Rows = [
    {'truth': truth, 'objective': objective, 'method': method}
    | {str(d): None if d not in cells else f'{cells[d]:.2f}' for d in dims}
    for (truth, objective, method), cells in sorted(found.items())
  ]
  columns = {c: c for c in ('truth', 'objective', 'method')}
  return table(lines, columns | {str(d): f'D = {d}, %' for d in dims})


def name(row: dict[str, Any]) -> str:
  """The truth of a row, with K where several are computed."""
  return row['truth'] + (f', K = {row["K"]}' if 'K' in row else '')


def table(
  rows: Rows, columns: dict[str, str], percent: tuple[str, ...] = ()
) -> str:
  """Rows under `columns`, titles by key; nothing where there are no rows."""
  if not rows:
    return ''
  texts = ('truth', 'objective', 'method', 'kind', 'family')
  lines = [
    '| ' + ' | '.join(columns.values()) + ' |',
    '|' + '|'.join('---' if c in texts else '---:' for c in columns) + '|',
  ]
  for row in rows:
    cells = [_cell(row.get(c), c in percent) for c in columns]
    lines.append('| ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def _cell(value: Any, percent: bool) -> str:
  if value is None:
    return ''
  if isinstance(value, float):
    return f'{100.0 * value:.2f} %' if percent else f'{value:.4g}'
  return str(value)

"""Reads rows of `metrics.jsonl` for figures: stages, forms and names."""

import collections
from typing import Any


def stages(records: list[dict[str, Any]]) -> list[str]:
  """Names of all stages in the order of their first rows."""
  return list(dict.fromkeys(row['stage'] for row in records))


def rows(
  records: list[dict[str, Any]], stage: str, *needed: str
) -> list[dict[str, Any]]:
  """Returns the rows of a stage that have the form of most of its rows.

  Args:
    records: rows of `metrics.jsonl`.
    stage: name of the stage.
    *needed: metrics that a row must have.
  """
  forms = [
    (row, tuple(sorted((name, form(value)) for name, value in row.items())))
    for row in records
    if row['stage'] == stage and all(form(row.get(n, '')) for n in needed)
  ]
  common = collections.Counter(own for _, own in forms).most_common(1)
  return [row for row, own in forms if own == common[0][0]]


def labels(value: Any, last: str = 'line') -> list[str]:
  """Names the numbers of a metric, in their order.

  Lists of lists have a list for each replica, with a number for each critic. A
  list of numbers may be either, so its lines are only numbered.
  """
  if not isinstance(value, list):
    return ['']
  names = []
  for k, each in enumerate(value, 1):
    for inner in labels(each, 'critic'):
      kind = 'replica' if isinstance(each, list) else last
      own = f'{kind} {k}' if len(value) > 1 else ''
      names.append(', '.join(part for part in (own, inner) if part))
  return names


def form(value: Any) -> str:
  """Describes the shape of numbers, such as '[2xn]'; '' is something else."""
  if isinstance(value, int | float) or value is None:
    return 'n'
  if not isinstance(value, list) or not value:
    return ''
  inner = {form(each) for each in value}
  if len(inner) > 1 or '' in inner:
    return ''
  return f'[{len(value)}x{inner.pop()}]'

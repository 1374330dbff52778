"""Reads the results of trials: rows of a subject, and what they cost."""

from typing import Any

import numpy as np

from experiments.pruning import settings

Results = dict[str, dict[str, Any]]


def wholes(results: Results) -> Results:
  """Returns the large networks by subject."""
  return {r['subject']: r for r in results.values() if r['method'] == 'large'}


def scored(results: Results, name: str) -> list[dict[str, Any]]:
  """Returns the rows of a subject that have scores."""
  return [
    row for row in results.values()
    if row['subject'] == name and 'scores' in row
  ]  # fmt: skip


def label(row: dict[str, Any]) -> str:
  """Returns the name of a row in tables."""
  if 'share' not in row:
    return str(row['method'])
  return f'{row["method"]}, {100 * row["share"]:.0f} %'


def key(row: dict[str, Any]) -> str:
  """Returns the name by which a row is timed."""
  if 'share' not in row:
    return str(row['method'])
  return settings.stage(row['method'], row['share'])


def spent(results: Results, name: str) -> dict[str, float]:
  """Returns milliseconds of single samples of a subject's first seed."""
  for row in results.values():
    if row['subject'] == name and row['method'] == 'times':
      return dict(row['milliseconds'].get('1', {}))
  return {}


def over(row: dict[str, Any], whole: dict[str, Any], name: str) -> float:
  """Returns how large a row is, as a share of the large networks."""
  return float(np.mean(row[name]) / np.mean(whole[name]))

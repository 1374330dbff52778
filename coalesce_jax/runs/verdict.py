"""Says in words whether coalescing is ahead in a run, and how sure that is.

The best generator for the edge is compared with the best baseline by the
squared Frechet distance. Seeds are paired: seed k of every method has the same
local samples, so differences are taken a seed.
"""

from typing import Any

import numpy as np

from coalesce_jax.runs import columns

# What a run makes for the edge, and the other generators that coalescing gives.
# All others are what a user would try instead.
EDGE = ('adapted', 'ternary')
COALESCED = {
  'barycenter': 'the metamodel before adaptation has',
  'all_nodes': 'all nodes, kept as one generator, have',
}


def of(rows: dict[str, dict[str, Any]]) -> str:
  """Returns the verdict, of a few sentences; '' where nothing is compared.

  Args:
    rows: scores by method, each a list over seeds.
  """
  means = {
    name: float(np.mean(values))
    for name, row in rows.items()
    if (values := columns.finite(row.get('frechet')))
  }
  edges = [name for name in EDGE if name in means]
  others = [name for name in means if name not in (*EDGE, *COALESCED)]
  if not edges or not others:
    return ''
  edge = min(edges, key=means.__getitem__)
  rival = min(others, key=means.__getitem__)
  shown = {name: name.replace('_', ' ') for name in means}
  best, second = (edge, rival) if means[edge] < means[rival] else (rival, edge)
  gap = means[second] - means[best]
  if gap == 0.0:
    text = (
      f'No method is ahead: {shown[edge]} and {shown[rival]} have the same '
      f'Frechet distance, {means[best]:,.2f}.'
    )
    return text + _coalesced(means, edge) + _small(rows, means)
  if best == edge:
    text = (
      f'The edge method is ahead: {shown[edge]} has a Frechet distance of '
      f'{means[edge]:,.2f}, lower by {gap:,.2f} than the best baseline, '
      f'{shown[rival]} ({means[rival]:,.2f}).'
    )
  else:
    text = (
      f'The edge method is not ahead: {shown[rival]} has the lowest Frechet '
      f'distance, {means[rival]:,.2f}, lower by {gap:,.2f} than that of '
      f'{shown[edge]} ({means[edge]:,.2f}).'
    )
  text += _paired(rows[second]['frechet'], rows[best]['frechet'], shown[best])
  return text + _coalesced(means, edge) + _small(rows, means)


def _coalesced(means: dict[str, float], edge: str) -> str:
  """Compares the edge method with what it was made from."""
  parts = []
  for name, words in COALESCED.items():
    if name in means:
      gap = means[name] - means[edge]
      word = 'higher' if gap >= 0.0 else 'lower'
      parts.append(f'{words} {means[name]:,.2f}, {word} by {abs(gap):,.2f}')
  return f' For comparison: {"; ".join(parts)}.' if parts else ''


def _paired(second: Any, best: Any, name: str) -> str:
  """Describes the differences of seeds."""
  if np.size(second) != np.size(best):
    return ' The methods have different seeds, so they are not paired.'
  pairs = zip(np.ravel(second), np.ravel(best), strict=True)
  differences = [
    columns.finite(a)[0] - columns.finite(b)[0]
    for a, b in pairs
    if columns.finite(a) and columns.finite(b)
  ]
  if not differences:
    return ' No seed has both distances, so they are not paired.'
  count = len(differences)
  if count == 1:
    return (
      ' That is one seed: run several (`--config.seeds=3`) before you trust '
      'the order.'
    )
  wins = sum(difference > 0.0 for difference in differences)
  mean, spread = np.mean(differences), np.std(differences, ddof=1)
  text = (
    f' In {wins} of {count} seeds {name} is lower; the paired differences are '
    f'{mean:,.2f} ± {spread:,.2f} (mean and standard deviation).'
  )
  if abs(mean) < spread:
    text += ' The difference is smaller than its deviation over seeds.'
  return text


def _small(rows: dict[str, dict[str, Any]], means: dict[str, float]) -> str:
  """Describes what ternary weights save and cost."""
  sizes = [columns.finite(rows.get(name, {}).get('bytes')) for name in EDGE]
  if not all(sizes) or not all(name in means for name in EDGE):
    return ''
  before, after = (float(np.mean(size)) for size in sizes)
  change = means['ternary'] - means['adapted']
  word = 'higher' if change >= 0.0 else 'lower'
  return (
    f' Ternary weights take {after:,.0f} bytes instead of {before:,.0f}; their '
    f'distance is {word} by {abs(change):,.2f}.'
  )

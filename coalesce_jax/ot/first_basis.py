"""Finds a first basis of the transportation problem for the network simplex.

Where the package POT is installed, its network simplex finds a plan that is
optimal up to its tolerances. The support of this plan is almost a basis; the
caller completes the optimum and verifies it. Otherwise each row goes to near
columns.

Shapes: N, M points. Nodes 0 to N - 1 are rows, N to N + M - 1 are columns.
"""

from collections.abc import Callable, Sequence
import sys
from typing import Any
import warnings

import numpy as np

# A smaller problem takes less time than the import of POT, and one of fewer
# than the second number less time than a call.
LEAST_COSTS = 40_000
LEAST_COSTS_LOADED = 1_000
# Far more than it needs.
_ITERATIONS = 200_000

# Edges as lists of rows, columns and flows.
Edges = tuple[list[int], list[int], list[int]]


def near(cost: np.ndarray, a: Sequence[int], b: Sequence[int]) -> Edges:
  """Returns the edges of a basis that sends each row to near columns.

  Args:
    cost: `[N, M]`.
    a: positive integer masses of the rows. No sum of some of them equals a sum
      of some masses of columns, except those of all.
    b: positive integer masses of the columns.
  """
  reduced = cost - cost.min(0)[None]
  left, open_columns = list(b), np.ones(len(b), bool)
  rows, columns, flow = [], [], []
  for i, supply in enumerate(a):
    price = np.where(open_columns, reduced[i], np.inf)
    while supply:
      j = int(price.argmin())
      x = min(supply, left[j])
      rows.append(i)
      columns.append(j)
      flow.append(x)
      supply -= x
      left[j] -= x
      if not left[j]:
        open_columns[j], price[j] = False, np.inf
  return rows, columns, flow


def by_pot(
  cost: np.ndarray, a: Sequence[int], b: Sequence[int]
) -> Edges | None:
  """Returns the edges of a basis near the plan of POT, see `near`.

  Returns:
    The edges. None if POT is not installed, the problem is small, or the basis
    is infeasible, as for weights too light for POT. A problem is small below
    40,000 costs, or below 1,000 if the program has imported POT already.
  """
  loaded = sys.modules.get('ot') is not None
  least = LEAST_COSTS_LOADED if loaded else LEAST_COSTS
  solver = _solver() if cost.size >= least else None
  if solver is None:
    return None
  total = sum(a)
  scaled = cost / (cost.max() or 1.0)
  masses = (np.array([x / total for x in side]) for side in (a, b))
  with warnings.catch_warnings():
    # Whatever it has found, the caller verifies.
    warnings.simplefilter('ignore')
    plan, log = solver(*masses, scaled, numItermax=_ITERATIONS, log=True)
  reduced = scaled - log['u'][:, None] - log['v'][None]
  if not np.isfinite(reduced).all():
    return None
  rows, columns = _spanning(plan, reduced, a, b)
  flow = _flows(rows, columns, a, b)
  return None if flow is None else (rows, columns, flow)


def _spanning(
  plan: np.ndarray, reduced: np.ndarray, a: Sequence[int], b: Sequence[int]
) -> tuple[list[int], list[int]]:
  """Returns edges of a spanning tree: those of the plan, and cheap links.

  Args:
    plan: `[N, M]`.
    reduced: costs minus potentials, `[N, M]`.
    a: masses of the rows.
    b: masses of the columns.
  """
  n = len(a)
  part = list(range(n + len(b)))

  def find(node):
    while part[node] != node:
      part[node] = part[part[node]]
      node = part[node]
    return node

  edges = []
  rows, columns = np.nonzero(plan)
  order = np.argsort(-plan[rows, columns], kind='stable')
  for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
    one, other = find(i), find(n + j)
    if one != other:
      part[one] = other
      edges.append((i, j))
  parts = np.array([find(node) for node in range(len(part))])
  names, first, sizes = np.unique(
    parts, return_inverse=True, return_counts=True
  )
  excess = [0] * len(names)
  for k, mass in zip(first.tolist(), [*a, *(-x for x in b)], strict=True):
    excess[k] += mass
  # All other parts send their excess to the largest one.
  main = int(sizes.argmax())
  for k, mass in enumerate(excess):
    if k == main:
      continue
    giver, taker = (k, main) if mass > 0 else (main, k)
    some = np.flatnonzero(first[:n] == giver)
    others = np.flatnonzero(first[n:] == taker)
    if not (len(some) and len(others)):
      return [], []
    at = int(reduced[np.ix_(some, others)].argmin())
    edges.append((int(some[at // len(others)]), int(others[at % len(others)])))
  return [i for i, _ in edges], [j for _, j in edges]


def _flows(
  rows: list[int], columns: list[int], a: Sequence[int], b: Sequence[int]
) -> list[int] | None:
  """Returns the flow of each edge of a tree; None if one is not positive."""
  n, left = len(a), [*a, *b]
  at: list[set[int]] = [set() for _ in left]
  for k, (i, j) in enumerate(zip(rows, columns, strict=True)):
    at[i].add(k)
    at[n + j].add(k)
  flow = [0] * len(rows)
  leaves = [node for node, edges in enumerate(at) if len(edges) == 1]
  for node in leaves:
    if not at[node]:
      continue
    # A leaf sends or takes all of its mass by its only edge.
    k = at[node].pop()
    other = n + columns[k] if node < n else rows[k]
    flow[k] = left[node]
    left[other] -= left[node]
    at[other].remove(k)
    if len(at[other]) == 1:
      leaves.append(other)
  return flow if flow and min(flow) > 0 else None


def _solver() -> Callable[..., Any] | None:
  """Returns the network simplex of POT, if it is installed."""
  try:
    import ot
  # A package built for another NumPy raises errors of its own.
  except Exception:
    return None
  return ot.emd

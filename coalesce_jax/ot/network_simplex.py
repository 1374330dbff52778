r"""Solves the transportation problem by an exact network simplex.

.. math:: \min_P \sum_{ij} P_{ij} C_{ij}, \quad
  \sum_j P_{ij} = a_i, \quad \sum_i P_{ij} = b_j, \quad P_{ij} \ge 0

Flows are integers, so that no weight is too light. A perturbation of the
weights, which is removed at the end, excludes pivots that move no mass.
Potentials are floating-point numbers, and feasible ones verify the result. If
costs of very different sizes spoil them, pivots go on with integer costs, which
end at the exact optimum.

Shapes: N, M points. Nodes 0 to N - 1 are rows, N to N + M - 1 are columns.
"""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from coalesce_jax.ot import first_basis

# Largest difference of primal and dual value of float costs, relative.
GAP = 1e-10


def solve(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Computes an optimal coupling and verifies it by its dual value.

  Args:
    cost: costs of at least 0, `[N, M]`.
    a: positive weights, `[N]`.
    b: positive weights, `[M]`.

  Returns:
    The coupling `[N, M]` with at most N + M - 1 positive entries. Its rows sum
    to `a / sum(a)` and its columns to `b / sum(b)`, to float64 rounding of each
    sum.
  """
  rows_mass, columns_mass = balanced(a, b)
  # Partial sums of perturbed rows and columns never agree, so that every
  # pivot moves mass.
  scale = len(a) + 1
  supply, demand = (
    [x * scale + 1 for x in rows_mass],
    [x * scale for x in columns_mass],
  )
  demand[-1] += len(a)
  start = first_basis.by_pot(cost, supply, demand)
  start = start or first_basis.near(cost, supply, demand)
  tree = _Tree(cost, *start)
  # Rounding of a potential grows with the depth of its node.
  tree.optimize(cost, 8.0 * np.finfo(np.float64).eps)
  coupling = tree.coupling(rows_mass, columns_mass)
  moved = coupling > 0.0
  value = math.fsum(coupling[moved] * cost[moved])
  # No coupling costs less than 0.
  if value and not tree.verified(cost, coupling, GAP * value):
    tree.optimize(_integer_costs(cost), 0.0)
    coupling = tree.coupling(rows_mass, columns_mass)
  return coupling


def balanced(a: np.ndarray, b: np.ndarray) -> tuple[list[int], list[int]]:
  """Returns integers in the exact ratios of weights, with equal sums.

  Args:
    a: weights of at least 0, not all 0, `[N]`.
    b: weights of at least 0, not all 0, `[M]`.
  """
  up, down = _integers(a), _integers(b)
  total_up, total_down = sum(up), sum(down)
  return [x * total_down for x in up], [x * total_up for x in down]


class _Tree:
  """A basis: a spanning tree of rows and columns with flows on its edges.

  Attributes:
    parents: parent of each node, -1 of the root.
    flow: perturbed flow between each node and its parent.
    depths: number of edges to the root.
    potentials: a row and a column of an edge sum to its cost.
  """

  def __init__(
    self, cost: np.ndarray, rows: list[int], columns: list[int], flow: list[int]
  ) -> None:
    n, m = cost.shape
    self.split = n
    near: list[list[tuple[int, int]]] = [[] for _ in range(n + m)]
    for i, j, x in zip(rows, columns, flow, strict=True):
      near[i].append((n + j, x))
      near[n + j].append((i, x))
    self.parents, self.flow = [-1] * (n + m), [0] * (n + m)
    self.children: list[set[int]] = [set() for _ in range(n + m)]
    self.depths = [0] * (n + m)
    # From a row amid the others few potentials are sums of large costs.
    stack = [int(np.median(cost, 1).argmin())]
    while stack:
      node = stack.pop()
      for child, x in near[node]:
        if child != self.parents[node]:
          self.parents[child], self.flow[child] = node, x
          self.children[node].add(child)
          self.depths[child] = self.depths[node] + 1
          stack.append(child)
    self.potentials: list = []

  def optimize(self, cost: np.ndarray, epsilon: float) -> None:
    """Pivots until no edge costs less than its potentials.

    Args:
      cost: floats, or Python integers in proportion to them.
      epsilon: relative rounding of the potentials.
    """
    n = self.split
    each = np.arange(n)
    while True:
      found = self._price(cost)
      reduced = cost - found[:n, None]
      reduced -= found[None, n:]
      best = reduced.argmin(1)
      gaps = reduced[each, best]
      limit = np.zeros(n)
      if epsilon:
        limit = np.abs(found[:n]) + np.abs(found[n + best]) + cost[each, best]
        limit *= -epsilon
      rows = np.flatnonzero(gaps < limit)
      if not len(rows):
        return
      for i in rows[np.argsort(gaps[rows], kind='stable')].tolist():
        j = int(best[i])
        change = cost[i, j] - self.potentials[i] - self.potentials[n + j]
        if change < limit[i]:
          self._pivot(i, n + j, change)

  def verified(
    self, cost: np.ndarray, coupling: np.ndarray, largest: float
  ) -> bool:
    """Whether the cost is above the least one by at most `largest`."""
    # The slower of the two rounds less.
    return any(
      self._gap(cost.astype(kind), coupling) <= largest
      for kind in (np.float64, np.longdouble)
    )

  def _gap(self, cost: np.ndarray, coupling: np.ndarray) -> float:
    """Bounds the cost above the least one, by feasible potentials."""
    u = self._price(cost)[: self.split]
    reduced = cost - u[:, None]
    v = reduced.min(0)
    rows, columns = np.nonzero(coupling)
    # Subtractions round, and rounding must not pass for optimality.
    size = np.abs(u[rows]) + np.abs(v[columns]) + cost[rows, columns]
    excess = reduced[rows, columns] - v[columns]
    excess += 4.0 * np.finfo(cost.dtype).eps * size
    return float((excess * coupling[rows, columns]).sum())

  def coupling(self, a: Sequence[int], b: Sequence[int]) -> np.ndarray:
    """Returns the masses `[N, M]` of the edges for the given weights."""
    left, total = [*a, *b], sum(a)
    result = np.zeros((len(a), len(b)))
    for node in reversed(self._order()[1:]):
      parent = self.parents[node]
      i, j = min(node, parent), max(node, parent)
      result[i, j - self.split] = left[node] / total
      left[parent] -= left[node]
    return result

  def _order(self) -> list[int]:
    """Returns all nodes, each after its parent."""
    order = [self.parents.index(-1)]
    for node in order:
      order.extend(self.children[node])
    return order

  def _price(self, cost: np.ndarray) -> np.ndarray:
    """Computes the potentials anew, which drops the rounding of updates."""
    order = self._order()
    nodes = np.array(order[1:])
    above = np.array(self.parents)[nodes]
    rows, columns = np.minimum(nodes, above), np.maximum(nodes, above)
    costs = cost[rows, columns - self.split].tolist()
    self.potentials = [0] * len(self.parents)
    for node, parent, x in zip(order[1:], above.tolist(), costs, strict=True):
      self.potentials[node] = x - self.potentials[parent]
    return np.array(self.potentials, cost.dtype)

  def _pivot(self, i: int, j: int, change: Any) -> None:
    """Lets the edge from row node `i` to column node `j` into the tree."""
    parents, flow, depths = self.parents, self.flow, self.depths
    # An edge above a row on the side of i loses flow, as does one above a
    # column on the side of j. The others of the cycle gain.
    x, y = i, j
    losing: list[tuple[int, bool]] = []
    gaining: list[tuple[int, bool]] = []
    while x != y:
      if depths[x] >= depths[y]:
        (losing if x < self.split else gaining).append((x, True))
        x = parents[x]
      else:
        (losing if y >= self.split else gaining).append((y, False))
        y = parents[y]
    out, below_i = min(losing, key=lambda item: flow[item[0]])
    theta = flow[out]
    for node, _ in losing:
      flow[node] -= theta
    for node, _ in gaining:
      flow[node] += theta
    node, above = (i, j) if below_i else (j, i)
    start, moved = node, theta
    while True:
      parent, kept = parents[node], flow[node]
      self.children[parent].remove(node)
      self.children[above].add(node)
      parents[node], flow[node] = above, moved
      if node == out:
        break
      node, above, moved = parent, node, kept
    # Rows below the new edge gain what columns lose.
    potentials, n = self.potentials, self.split
    rise = change if start < n else -change
    stack = [start]
    while stack:
      node = stack.pop()
      potentials[node] += rise if node < n else -rise
      depths[node] = depths[parents[node]] + 1
      stack.extend(self.children[node])


def _integers(weights: np.ndarray) -> list[int]:
  """Returns integers in the exact ratios of floats."""
  fractions = [float(x).as_integer_ratio() for x in weights]
  # Denominators are powers of 2.
  common = max(denominator for _, denominator in fractions)
  return [x * (common // denominator) for x, denominator in fractions]


def _integer_costs(cost: np.ndarray) -> np.ndarray:
  """Returns Python integers in the exact ratios of costs, `[N, M]`."""
  fractions, exponents = np.frexp(cost)
  integers = np.ldexp(fractions, 53).astype(np.int64).astype(object)
  return integers << (exponents - exponents.min()).astype(object)

r"""Solves linear programmes beyond the tolerances of the solver.

.. math:: \min_x c^T x, \quad A x = b, \quad x \ge 0

HiGHS counts as 0 what is below an absolute tolerance. Iterative refinement
solves the programme of the remaining errors, magnified: Gleixner, Steffy,
Wolter, https://doi.org/10.1287/ijoc.2016.0692.

Shapes: V variables, E equations.
"""

from collections.abc import Iterator

import numpy as np
from scipy import optimize
from scipy import sparse

ROUNDS = 5
# The smallest tolerance that HiGHS takes.
_TOLERANCE = 1e-10
# Largest growth of the magnification in one round.
_GROWTH = 1e6


def solutions(
  cost: np.ndarray, matrix: sparse.spmatrix, right: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields solutions of at most `ROUNDS` rounds, each nearer to the optimum.

  Args:
    cost: c, `[V]`, at least 0 and about 1 at most.
    matrix: A, `[E, V]`, without empty rows or columns.
    right: b, `[E]`, not all 0.

  Yields:
    The variables x, `[V]`, and the multipliers y of the equations, `[E]`. The
    caller decides whether they are good enough.

  Raises:
    ValueError: the solver fails in the first round.
  """
  rows, columns = sparse.csr_matrix(matrix), sparse.csr_matrix(matrix.T)
  x = np.zeros(len(cost), np.longdouble)
  y = np.zeros(len(right), np.longdouble)
  primal, dual = 1.0, 1.0
  for n in range(ROUNDS):
    missing = right - _product(rows, x)
    reduced = cost - _product(columns, y)
    if n:
      primal = _magnified(primal, max(np.abs(missing).max(), -x.min()))
      dual = _magnified(dual, -reduced.min())
    lowest = np.asarray(-primal * x, np.float64)
    found = optimize.linprog(
      np.asarray(dual * reduced, np.float64),
      A_eq=rows,
      b_eq=np.asarray(primal * missing, np.float64),
      bounds=np.stack([lowest, np.full(len(cost), np.inf)], 1),
      method='highs',
      options={
        'primal_feasibility_tolerance': _TOLERANCE,
        'dual_feasibility_tolerance': _TOLERANCE,
      },
    )
    if found.status != 0:
      if n:
        return
      raise ValueError(f'the linear programme failed: {found.message}')
    x = x + found.x / primal
    y = y + found.eqlin.marginals / dual
    yield x, y


def _magnified(before: float, error: np.longdouble) -> float:
  return min(_GROWTH * before, 1.0 / max(float(error), 1e-300))


def _product(matrix: sparse.csr_matrix, x: np.ndarray) -> np.ndarray:
  """Computes the product in extended precision, which SciPy lacks."""
  terms = matrix.data * x[matrix.indices]
  return np.add.reduceat(terms, matrix.indptr[:-1])

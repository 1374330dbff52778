r"""Computes bounds of W1 and the Sinkhorn divergence by entropic transport.

.. math::
  \mathrm{OT}_\epsilon(\mu, \nu) = \min_P \langle P, C \rangle
    + \epsilon \, \mathrm{KL}(P \,|\, a \otimes b), \quad C_{ij} = |x_i - y_j|

Cuturi, https://arxiv.org/abs/1306.0895. ott-jax solves the problem for a given
cost matrix in float32, and in float64 if float32 does not suffice. Values and
convergence are computed from its potentials in float64 on the host.

Shapes: N, M points, D dimensions. Distances are in data units.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry import geometry
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn
from scipy import special

from coalesce_jax.ot import exact
from coalesce_jax.ot import validation

# Default epsilon, relative to the mean distance between the point clouds.
RELATIVE_EPSILON = 0.02
# Largest sum of the errors of the marginals, which sum to 1.
THRESHOLD = 1e-4
# Where distances are far larger than W1, marginals are so exact that they raise
# the upper bound by at most this fraction.
LOOSE = 0.01
LEAST_THRESHOLD = 1e-12
# Distances beyond this many epsilon have no digits left for potentials.
MAX_RATIO = 1e15
# Beyond this many distances the rounding of epsilon hides them.
MAX_EPSILON = 1e6


class NotConverged(RuntimeError):
  """A Sinkhorn solver reached its last iteration before it converged."""


class Bounds(NamedTuple):
  """Bounds of W1, which are valid whether or not the solver converged.

  Attributes:
    lower: dual value of potentials with `f + g <= C`, which two c-transforms
      ensure.
    upper: cost of a coupling with exact marginals, which the rounding of
      Altschuler et al., https://arxiv.org/abs/1705.09634, ensures.
    converged: whether the solver converged; if not, the bounds are wide.
    epsilon: the regularisation, in data units.
  """

  lower: float
  upper: float
  converged: bool
  epsilon: float


def bounds(
  x: Any,
  y: Any,
  weights_x: Any = None,
  weights_y: Any = None,
  *,
  epsilon: float | None = None,
  iterations: int = 5000,
) -> Bounds:
  """Computes lower and upper bounds of W1 between two weighted point clouds.

  Args:
    x: `[N, D]`.
    y: `[M, D]`.
    weights_x: `[N]`, sum to 1; None is equal weights.
    weights_y: `[M]`, sum to 1; None is equal weights.
    epsilon: regularisation in data units; None is 2 % of the mean distance.
    iterations: largest number of iterations.

  Raises:
    ValueError: an argument is invalid.
  """
  x, a, y, b = _weighted_pair(x, y, weights_x, weights_y)
  cost = exact.cost_matrix(x, y)
  epsilon = _epsilon(epsilon, cost)
  threshold = THRESHOLD
  while True:
    f, g, converged = _solve(cost, a, b, epsilon, iterations, threshold)
    dual_y = (cost - f[:, None]).min(0)
    dual_x = (cost - dual_y[None]).min(1)
    log = (f[:, None] + g[None] - cost) / epsilon
    log += np.log(a)[:, None] + np.log(b)[None]
    coupling = _rounded(np.exp(log - special.logsumexp(log)), a, b)
    upper = float((coupling * cost).sum())
    # Mass of wrong marginals may travel the largest distance.
    enough = LOOSE * upper / max(float(cost.max()), upper, 1e-300)
    if not converged or threshold <= max(enough, LEAST_THRESHOLD):
      break
    threshold = 10.0 ** np.floor(np.log10(max(enough, LEAST_THRESHOLD)))
  # Rounding alone may put it below 0 or above the cost of a coupling.
  lower = float(np.clip(a @ dual_x + b @ dual_y, 0.0, upper))
  return Bounds(lower, upper, converged, epsilon)


def divergence(
  x: Any,
  y: Any,
  weights_x: Any = None,
  weights_y: Any = None,
  *,
  epsilon: float | None = None,
  iterations: int = 5000,
) -> float:
  r"""Computes the Sinkhorn divergence between two weighted point clouds.

  Feydy et al., https://arxiv.org/abs/1810.08278, define it as

  .. math:: \mathrm{OT}_\epsilon(\mu, \nu)
    - \mathrm{OT}_\epsilon(\mu, \mu) / 2 - \mathrm{OT}_\epsilon(\nu, \nu) / 2

  Args:
    x: `[N, D]`.
    y: `[M, D]`.
    weights_x: `[N]`, sum to 1; None is equal weights.
    weights_y: `[M]`, sum to 1; None is equal weights.
    epsilon: regularisation of all three terms in data units; None is 2 % of the
      mean distance between the point clouds.
    iterations: largest number of iterations.

  Returns:
    A number of at least 0, which is 0 for equal point clouds. It tends to W1
    for small epsilon and to half an energy distance for large epsilon. It is
    neither a lower nor an upper bound of W1.

  Raises:
    NotConverged: one of the three solvers did not converge.
    ValueError: an argument is invalid.
  """
  x, a, y, b = _weighted_pair(x, y, weights_x, weights_y)
  epsilon = _epsilon(epsilon, exact.cost_matrix(x, y))
  values = []
  for p, q, u, v in ((x, y, a, b), (x, x, a, a), (y, y, b, b)):
    f, g, converged = _solve(exact.cost_matrix(p, q), u, v, epsilon, iterations)
    if not converged:
      raise NotConverged(
        f'{len(p)} and {len(q)} points, epsilon {epsilon:.3g}: not converged '
        f'in {iterations} iterations; raise iterations or epsilon'
      )
    values.append(u @ f + v @ g)
  # For equal point clouds it may be below 0 by rounding.
  return max(float(values[0] - 0.5 * values[1] - 0.5 * values[2]), 0.0)


def _solve(
  cost: np.ndarray,
  a: np.ndarray,
  b: np.ndarray,
  epsilon: float,
  iterations: int,
  threshold: float = THRESHOLD,
) -> tuple[np.ndarray, np.ndarray, bool]:
  """Returns the potentials `[N]` and `[M]`, and whether they converged."""
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  for dtype in (np.float32, np.float64):
    with jax.numpy_rank_promotion('allow'), jax.enable_x64(dtype is np.float64):
      # In units of epsilon, so that no data are too small for float32.
      out = _solver(iterations, threshold)(
        *(jnp.asarray(v, dtype) for v in (cost / epsilon, a, b))
      )
    # ott's coupling is exp(f + g - C / epsilon). Here it is relative to a x b,
    # which adds the logarithms of the weights. Two more half-steps in float64
    # make its row sums exact.
    f = epsilon * (np.asarray(out, np.float64) - np.log(a))
    log = (f[:, None] - cost) / epsilon + np.log(a)[:, None]
    g = -epsilon * special.logsumexp(log, axis=0)
    log = (g[None] - cost) / epsilon + np.log(b)[None]
    f = -epsilon * special.logsumexp(log, axis=1)
    log += (f / epsilon + np.log(a))[:, None]
    error = np.abs(np.exp(log).sum(0) - b).sum()
    if error <= threshold:
      break
  return f, g, bool(error <= threshold)


@functools.lru_cache(maxsize=16)
def _solver(iterations: int, threshold: float) -> Callable[..., jax.Array]:
  """Returns ott-jax's solver, compiled once for all problems of one shape."""
  solver = sinkhorn.Sinkhorn(threshold=threshold, max_iterations=iterations)

  def solve(cost, a, b):
    plan = geometry.Geometry(cost, epsilon=1.0)
    return solver(linear_problem.LinearProblem(plan, a=a, b=b)).f

  return jax.jit(solve)


def _rounded(plan: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Rounds `plan` to a coupling with exact marginals."""
  rows = plan.sum(1)
  plan = plan * np.minimum(a / np.maximum(rows, 1e-300), 1.0)[:, None]
  columns = plan.sum(0)
  plan = plan * np.minimum(b / np.maximum(columns, 1e-300), 1.0)[None]
  left, right = a - plan.sum(1), b - plan.sum(0)
  missing = left.sum()
  if missing > 0.0:
    plan = plan + left[:, None] * right[None] / missing
  return plan


def _weighted_pair(x: Any, y: Any, weights_x: Any, weights_y: Any) -> Any:
  x, y = validation.pair(x, y)
  x, a = validation.weighted(x, weights_x, 'weights_x')
  y, b = validation.weighted(y, weights_y, 'weights_y')
  return x, a, y, b


def _epsilon(epsilon: float | None, cost: np.ndarray) -> float:
  if epsilon is None:
    # Between equal points any will do.
    return RELATIVE_EPSILON * float(cost.mean()) or 1.0
  if not (np.isfinite(epsilon) and epsilon > 0.0):
    raise ValueError(f'epsilon: {epsilon} is not positive')
  if cost.max() > MAX_RATIO * epsilon:
    raise ValueError(
      f'epsilon: {epsilon} is too small beside distances up to {cost.max():.3g}'
    )
  if epsilon > MAX_EPSILON * cost.max() > 0.0:
    raise ValueError(
      f'epsilon: {epsilon} is too large beside distances up to '
      f'{cost.max():.3g}: rounding would hide them'
    )
  return float(epsilon)

r"""Entropic optimal transport by ott-jax: bounds of W1, and the divergence.

.. math::
  \mathrm{OT}_\epsilon(\mu, \nu) = \min_P \langle P, C \rangle
    + \epsilon \, \mathrm{KL}(P \,|\, a \otimes b), \quad C_{ij} = |x_i - y_j|

Cuturi, https://arxiv.org/abs/1306.0895. Solved by ott-jax on our own cost
matrix; values are computed from its potentials in float64 on the host.

Shapes: N, M points, D dimensions. In data units.
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
from scipy.spatial import distance

from coalesce_jax.ot import validation

# Of the mean distance between the clouds.
RELATIVE_EPSILON = 0.02


class NotConverged(RuntimeError):
  """A Sinkhorn solve reached its last iteration first."""


class Bounds(NamedTuple):
  """What encloses W1, whether or not the solve converged.

  Attributes:
    lower: dual value of potentials that obey `f + g <= C`, made so by
      c-transforms.
    upper: cost of a coupling whose sums are exactly the weights, made so by
      rounding (Altschuler et al., https://arxiv.org/abs/1705.09634).
    converged: of the solve; False makes the bounds wide, not wrong.
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
  """Lower and upper bounds of W1 between two weighted clouds.

  Args:
    x: `[N, D]`.
    y: `[M, D]`.
    weights_x: `[N]`, sum to 1; None is equal weights.
    weights_y: `[M]`, likewise.
    epsilon: regularisation in data units; None is 2 % of the mean distance.
    iterations: at most.

  Raises:
    ValueError: bad points, weights or settings.
  """
  x, a, y, b = _clouds(x, y, weights_x, weights_y)
  cost = distance.cdist(x, y)
  epsilon = _epsilon(epsilon, cost)
  f, g, converged = _solve(cost, a, b, epsilon, iterations)
  dual_y = (cost - f[:, None]).min(0)
  dual_x = (cost - dual_y[None]).min(1)
  log = (f[:, None] + g[None] - cost) / epsilon
  log += np.log(a)[:, None] + np.log(b)[None]
  coupling = _rounded(np.exp(log - special.logsumexp(log)), a, b)
  return Bounds(
    float(a @ dual_x + b @ dual_y),
    float((coupling * cost).sum()),
    converged,
    epsilon,
  )


def divergence(
  x: Any,
  y: Any,
  weights_x: Any = None,
  weights_y: Any = None,
  *,
  epsilon: float | None = None,
  iterations: int = 5000,
) -> float:
  r"""The Sinkhorn divergence, neither a lower nor an upper bound of W1.

  :math:`\mathrm{OT}_\epsilon(\mu, \nu) - \mathrm{OT}_\epsilon(\mu, \mu) / 2 -
  \mathrm{OT}_\epsilon(\nu, \nu) / 2`, at least 0 and 0 for equal clouds;
  between W1 (small epsilon) and half an energy distance (large). Feydy et al.,
  https://arxiv.org/abs/1810.08278.

  Args:
    x: `[N, D]`.
    y: `[M, D]`.
    weights_x: `[N]`, sum to 1; None is equal weights.
    weights_y: `[M]`, likewise.
    epsilon: regularisation in data units, of all three terms; None is 2 % of
      the mean distance between the clouds.
    iterations: at most.

  Raises:
    NotConverged: one of the three solves did not.
    ValueError: bad points, weights or settings.
  """
  x, a, y, b = _clouds(x, y, weights_x, weights_y)
  epsilon = _epsilon(epsilon, distance.cdist(x, y))
  values = []
  for p, q, u, v in ((x, y, a, b), (x, x, a, a), (y, y, b, b)):
    f, g, converged = _solve(distance.cdist(p, q), u, v, epsilon, iterations)
    if not converged:
      raise NotConverged(
        f'{len(p)} against {len(q)} points, epsilon {epsilon:.3g}: not '
        f'converged in {iterations} iterations; raise either'
      )
    values.append(u @ f + v @ g)
  return float(values[0] - 0.5 * values[1] - 0.5 * values[2])


def _solve(
  cost: np.ndarray,
  a: np.ndarray,
  b: np.ndarray,
  epsilon: float,
  iterations: int,
) -> tuple[np.ndarray, np.ndarray, bool]:
  """Potentials `[N]`, `[M]` of positive weights, and whether they converged."""
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  with jax.numpy_rank_promotion('allow'):
    f, converged = _solver(iterations)(
      *(jnp.asarray(v, jnp.float32) for v in (cost, a, b, epsilon))
    )
  # ott's couplings are exp((f + g - C) / epsilon), ours against a x b. Two
  # last half-steps in float64 make sums exact.
  f = np.asarray(f, np.float64) - epsilon * np.log(a)
  log = (f[:, None] - cost) / epsilon + np.log(a)[:, None]
  g = -epsilon * special.logsumexp(log, axis=0)
  log = (g[None] - cost) / epsilon + np.log(b)[None]
  return -epsilon * special.logsumexp(log, axis=1), g, bool(converged)


@functools.lru_cache(maxsize=16)
def _solver(iterations: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
  """ott-jax's solver, traced once for all problems of one shape."""
  solver = sinkhorn.Sinkhorn(threshold=1e-4, max_iterations=iterations)

  def solve(cost, a, b, epsilon):
    plan = geometry.Geometry(cost, epsilon=epsilon)
    out = solver(linear_problem.LinearProblem(plan, a=a, b=b))
    return out.f, out.converged

  return jax.jit(solve)


def _rounded(plan: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """The coupling of exact sums near `plan`."""
  rows = plan.sum(1)
  plan = plan * np.minimum(a / np.maximum(rows, 1e-300), 1.0)[:, None]
  columns = plan.sum(0)
  plan = plan * np.minimum(b / np.maximum(columns, 1e-300), 1.0)[None]
  left, right = a - plan.sum(1), b - plan.sum(0)
  missing = left.sum()
  if missing > 0.0:
    plan = plan + left[:, None] * right[None] / missing
  return plan


def _clouds(x: Any, y: Any, weights_x: Any, weights_y: Any) -> Any:
  x, y = validation.pair(x, y)
  x, a = validation.weighted(x, weights_x, 'weights_x')
  y, b = validation.weighted(y, weights_y, 'weights_y')
  return x, a, y, b


def _epsilon(epsilon: float | None, cost: np.ndarray) -> float:
  if epsilon is None:
    return max(RELATIVE_EPSILON * float(cost.mean()), 1e-12)
  if not (np.isfinite(epsilon) and epsilon > 0.0):
    raise ValueError(f'epsilon: {epsilon} is not positive')
  return float(epsilon)

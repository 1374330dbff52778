r"""The dual problem of congruent potentials, see `congruent_fitting`.

The parameters that descend are free: what they lack of the equation of the sum
is subtracted. Those of the matrices are scaled so that all are equally steep at
a barycenter of diagonal covariance.

Shapes: J inputs, N samples of each, D dimensions, H hidden units, L blocks of R
rows, T iterations.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.flatten_util import ravel_pytree
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from coalesce_jax.ops import precision
from coalesce_jax.ot import congruent

# Steps that invert the gradients at each evaluation. They start from the points
# of the evaluation before.
_STEPS = 3
# Length of a parameter that counts as 1, so that the first step is short.
_UNIT = 0.1
# Smallest eigenvalue of a mean Hessian.
_CONVEX = 0.02


class _Enough(Exception):  # noqa: N818
  """Ends the iteration."""


def descend(
  start: congruent.Surface,
  spread: jax.Array,
  weights: jax.Array,
  train: np.ndarray,
  held: np.ndarray,
  iterations: int,
  patience: int,
) -> tuple[congruent.Surface, np.ndarray, np.ndarray, bool]:
  """Returns the best parameters, values by iteration, and whether it ended."""
  flat, unravel = ravel_pytree(start)
  free = np.asarray(flat, np.float64) / _UNIT
  parts = [_blocks(x) for x in (train, held)]
  blocks = jax.tree.map(lambda *each: jnp.concatenate(each), *parts)
  mask = np.arange(len(blocks[0])) < len(parts[0][0])
  trained = jnp.asarray(mask)
  kept = blocks[0]  # Points of the samples at the last iteration.
  seen: list[tuple[float, float]] = []
  last = kept

  def value(x):
    nonlocal last
    params = unravel(jnp.asarray(_UNIT * x, jnp.float32))
    slopes, (values, last), least = _evaluate(
      params, spread, weights, blocks, trained, kept
    )
    if not float(least) > _CONVEX:
      # The line search takes a shorter step.
      return seen[-1][0] + 1.0, np.zeros_like(x)
    values = np.asarray(values, np.float64)
    slope = np.asarray(ravel_pytree(slopes)[0], np.float64) * _UNIT
    now = values[mask].sum() / train.shape[1]
    seen.append((now, values[~mask].sum() / held.shape[1]))
    return now, slope / train.shape[1]

  for _ in range(5):
    value(free)
    kept = last
  first = np.array(seen[-1])
  rows, best = [np.zeros(2)], free

  def watch(x):
    nonlocal kept, best
    # The line search ends at the point that it takes.
    kept = last
    rows.append(np.array(seen[-1]) - first)
    held_out = [row[1] for row in rows]
    lowest = int(np.argmin(held_out))
    if lowest == len(rows) - 1:
      best = np.array(x)
    if len(rows) - 1 - lowest >= patience:
      raise _Enough

  done = True
  try:
    found = optimize.minimize(
      value, free, jac=True, method='L-BFGS-B', callback=watch,
      options={'maxiter': iterations, 'maxcor': 20, 'ftol': 1e-9},
    )  # fmt: skip
    done = bool(found.success)
  except _Enough:
    pass
  values, held_out = np.array(rows)[1:].T
  surface = unravel(jnp.asarray(_UNIT * best, jnp.float32))
  return surface, values, held_out, done


def read(
  spread: jax.Array, weights: jax.Array, free: congruent.Surface
) -> congruent.Surface:
  """Returns the potentials of free parameters, whose weighted sum is 0."""
  apart = lambda x: x - jnp.tensordot(weights, x, 1)[None]
  a = free.matrices / units(spread)[None]
  matrices = jnp.eye(len(spread))[None] + 0.5 * (a + a.swapaxes(1, 2))
  return free._replace(
    matrices=apart(matrices) + jnp.eye(len(spread))[None],
    shifts=apart(free.shifts),
    amplitudes=apart(free.amplitudes),
  )


def units(spread: Any) -> Any:
  """Returns what makes the entries of matrices equally steep, `[D, D]`."""
  return ((spread[:, None] + spread[None]) / 2.0) ** 0.5


@jax.jit
def _evaluate(
  free: congruent.Surface,
  spread: jax.Array,
  weights: jax.Array,
  blocks: tuple[jax.Array, jax.Array],
  trained: jax.Array,
  points: jax.Array,
) -> tuple[congruent.Surface, tuple[jax.Array, jax.Array], jax.Array]:
  """Returns the slopes, the dual values and points of all blocks, and a number.

  The number is the smallest eigenvalue of the mean Hessians.

  Args:
    free: free parameters.
    spread: variances of the barycenter, `[D]`.
    weights: `[J]`.
    blocks: samples `[L, J, R, D]`, and numbers of rows that count, `[L]`.
    trained: whether the slopes are those of a block, `[L]`.
    points: points from which the gradients are inverted, `[L, J, R, D]`.
  """
  surface = read(spread, weights, free)
  back, least = zip(
    *(
      congruent.inverse_hessian(congruent.at(surface, j), points[0, j])
      for j in range(len(weights))
    ),
    strict=True,
  )

  def total(free, *block):
    return _dual(read(spread, weights, free), back, weights, *block)

  def add(carry, block):
    *block, counts = block
    found, slope = jax.value_and_grad(total, has_aux=True)(free, *block)
    return jax.tree.map(lambda c, s: c + counts * s, carry, slope), found

  zero = jax.tree.map(jnp.zeros_like, free)
  slope, found = jax.lax.scan(add, zero, (*blocks, points, trained))
  return slope, found, jnp.min(jnp.stack(least))


def _dual(
  surface: congruent.Surface,
  back: Sequence[jax.Array],
  weights: jax.Array,
  y: jax.Array,
  count: jax.Array,
  points: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Returns the summed dual value of a block, and its points.

  The value is that less the half square of the samples. A step of Newton is
  added to it, so that points that are not yet solutions do not lower it.
  """
  valid = jnp.arange(y.shape[1]) < count
  found, total = [], jnp.float32(0.0)
  for j in range(len(y)):
    one = congruent.at(surface, j)
    fixed = jax.lax.stop_gradient((one, back[j]))
    x, _ = congruent.inverted(*fixed, y[j], points[j], _STEPS)
    x = jax.lax.stop_gradient(x)
    gap = congruent.gradient(one, x) - y[j]
    step = precision.matmul(gap, fixed[1])
    # Less the half square of y, which would hide digits.
    flat = one._replace(matrices=one.matrices - jnp.eye(y.shape[2]))
    each = congruent.value(flat, x) + 0.5 * jnp.sum((x - y[j]) ** 2, 1)
    each -= 0.5 * jnp.sum(gap * step, 1)
    total -= weights[j] * jnp.sum(each * valid)
    found.append(x)
  return total, jnp.stack(found)


def _blocks(y: np.ndarray) -> tuple[jax.Array, jax.Array]:
  """Returns blocks `[L, J, R, D]` of samples, and the numbers of their rows."""
  rows = congruent.ROWS
  padded = np.pad(y, ((0, 0), (0, -y.shape[1] % rows), (0, 0)))
  count = padded.shape[1] // rows
  blocks = padded.reshape(len(y), count, rows, -1).swapaxes(0, 1)
  counts = np.full(count, rows)
  counts[-1] -= padded.shape[1] - y.shape[1]
  return jnp.asarray(blocks, jnp.float32), jnp.asarray(counts)

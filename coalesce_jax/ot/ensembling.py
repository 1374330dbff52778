r"""Combines predictions of several classifiers by Wasserstein barycenters.

.. math::
  \min_p \sum_k w_k \min_{P_k} \, \epsilon \, \mathrm{KL}(P_k \,|\, K), \quad
  P_k 1 = \mu_k, \quad P_k^T 1 = p, \quad K = e^{-C / \epsilon}

The cost C says how different two classes are. A model that is wrong about a
class then votes for similar classes too. In the unbalanced problem, penalties
:math:`\lambda \, \mathrm{KL}` replace both equations of the marginals.

Reimplemented from Algorithms 1 and 2 of Dognin et al.,
https://arxiv.org/abs/1902.04999, with logarithms of the scaling vectors.
Entropy blurs the result: even a single prediction :math:`\mu` becomes
:math:`K^T (\mu / K 1)`. The blur disappears for small :math:`\epsilon`, which
needs more iterations.

Shapes: M models, N predictions of each, C classes, B predictions at once.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.ops import precision
from coalesce_jax.ot import validation

# Probabilities below are set to it, so that all logarithms are finite.
FLOOR = 1e-30
# Predictions at once: their arrays then stay in the cache of a core.
_ROWS = 32
# Values of one sum over pairs of classes at once.
_PAIRS = 1 << 22
# Largest range of log K where products with K lose no digits, by the bytes of a
# number. The largest number of a vector is 1, so that no product is below
# exp(-range), and numbers that vanish beside it count for nothing.
_RANGES = {4: 60.0, 8: 600.0}
# Largest difference of a sum of probabilities from 1.
_SUM = 1e-3


class Barycenters(NamedTuple):
  """Barycenters of predictions.

  Attributes:
    probabilities: `[N, C]`; rows sum to 1.
    change: sum of the absolute changes of a row at the last iteration, `[N]`.
  """

  probabilities: jax.Array
  change: jax.Array


def ensemble(
  probabilities: Any,
  weights: Any,
  kernel: Any,
  *,
  marginal_weight: float | None = None,
  iterations: int = 100,
  tolerance: float = 1e-4,
) -> jax.Array:
  """Computes the barycenters of predictions under a similarity of classes.

  Args:
    probabilities: predictions of the models, `[M, N, C]`; each sums to 1.
    weights: weights of the models, `[M]`, sum to 1; None is equal weights.
    kernel: similarities K of classes, `[C, C]`, at least 0, with a positive
      number in each row and column. Of the rows and columns, the first belong
      to the predictions, the second to the result. The identity gives the
      normalised geometric mean.
    marginal_weight: lambda of the unbalanced problem, in units of epsilon; None
      is the balanced problem.
    iterations: largest number of iterations.
    tolerance: iterations end where the sum of absolute changes of each row is
      below this.

  Returns:
    Probabilities, `[N, C]`; rows sum to 1. `solve` also says how much they
    changed in the last iteration.

  Raises:
    ValueError: an argument is invalid.
  """
  kernel = validation.array(kernel, 'kernel')
  if not np.isfinite(kernel).all() or (kernel < 0.0).any():
    raise ValueError('kernel: must be finite and at least 0')
  with np.errstate(divide='ignore'):
    log_kernel = np.log(kernel)
  return _checked(
    probabilities, weights, log_kernel, 'kernel',
    marginal_weight, iterations, tolerance,
  ).probabilities  # fmt: skip


def from_costs(
  probabilities: Any,
  weights: Any,
  cost: Any,
  *,
  epsilon: float,
  marginal_weight: float | None = None,
  iterations: int = 100,
  tolerance: float = 1e-4,
) -> Barycenters:
  """Computes the barycenters of predictions under costs between classes.

  In contrast to `ensemble`, epsilon may be so small that the kernel would
  underflow. Narrow kernels are multiplied in float64. They need more iterations
  than wide ones, and take many times as long.

  Args:
    probabilities: predictions of the models, `[M, N, C]`; each sums to 1.
    weights: weights of the models, `[M]`, sum to 1; None is equal weights.
    cost: costs of moving a unit of probability, `[C, C]`.
    epsilon: regularisation, in units of the cost.
    marginal_weight: see `ensemble`; in units of epsilon.
    iterations: see `ensemble`.
    tolerance: see `ensemble`.

  Raises:
    ValueError: an argument is invalid.
  """
  cost = validation.array(cost, 'cost')
  if not np.isfinite(cost).all():
    raise ValueError('cost: values are not all finite')
  if not (np.isfinite(epsilon) and epsilon > 0.0):
    raise ValueError(f'epsilon: {epsilon} is not positive')
  return _checked(
    probabilities, weights, -cost / epsilon, 'cost',
    marginal_weight, iterations, tolerance,
  )  # fmt: skip


@functools.partial(jax.jit, static_argnames=('iterations', 'products'))
def solve(
  probabilities: jax.Array,
  weights: jax.Array,
  log_kernel: jax.Array,
  marginal_weight: jax.Array | float | None = None,
  *,
  iterations: int = 100,
  tolerance: jax.Array | float = 1e-4,
  products: bool = False,
) -> Barycenters:
  """Computes the barycenters of predictions, for arguments that are valid.

  The function can be compiled into others and vmapped.

  Args:
    probabilities: `[M, N, C]`.
    weights: `[M]`.
    log_kernel: logarithms of the similarities, `[C, C]`, perhaps minus
      infinity.
    marginal_weight: see `ensemble`.
    iterations: see `ensemble`, static.
    tolerance: see `ensemble`.
    products: whether sums over classes are matrix products with the kernel,
      static. They are many times faster, and lose no digits if log K has a
      range below 60 in float32 or 600 in float64.
  """
  models, count, classes = probabilities.shape
  rows = _ROWS if products else max(1, _PAIRS // (models * classes**2))
  rows = min(rows, count)
  logs = jnp.log(jnp.maximum(probabilities, FLOOR))
  logs = jnp.pad(logs, ((0, 0), (0, -count % rows), (0, 0)), 'edge')
  logs = logs.reshape(models, -1, rows, classes).swapaxes(0, 1)
  log_kernel = log_kernel.astype(logs.dtype)
  weights = weights.astype(logs.dtype)
  forward = _applied(log_kernel, products)
  backward = _applied(log_kernel.T, products)
  power, mean = jnp.ones((), logs.dtype), _geometric
  if marginal_weight is not None:
    # lambda / (lambda + epsilon), in units of epsilon.
    power = jnp.asarray(marginal_weight / (marginal_weight + 1.0), logs.dtype)
    mean = functools.partial(_power_mean, 1.0 - power)

  def block(logs: jax.Array) -> Barycenters:
    def going(carry):
      step, _, found = carry
      return (step < iterations) & (jnp.max(found.change) > tolerance)

    def iterate(carry):
      step, v, found = carry
      u = power * (logs - forward(v))
      moved = backward(u)
      p = mean(moved, weights)
      now = jax.nn.softmax(p)
      change = jnp.sum(jnp.abs(now - found.probabilities), 1)
      v = power * (p[None] - moved)
      return step + 1, v, Barycenters(now, change)

    start = Barycenters(
      jnp.zeros(logs.shape[1:], logs.dtype),
      jnp.full(logs.shape[1], jnp.inf, logs.dtype),
    )
    carry = 0, jnp.zeros_like(logs), start
    return jax.lax.while_loop(going, iterate, carry)[2]

  found = jax.lax.map(block, logs)  # [., B, C] and [., B]
  return Barycenters(
    found.probabilities.reshape(-1, classes)[:count],
    found.change.reshape(-1)[:count],
  )


def _geometric(logs: jax.Array, weights: jax.Array) -> jax.Array:
  """Returns the logarithm of the weighted geometric mean, `[B, C]`."""
  return jnp.sum(weights[:, None, None] * logs, 0)


def _power_mean(
  exponent: jax.Array, logs: jax.Array, weights: jax.Array
) -> jax.Array:
  """Returns the logarithm of the weighted power mean, `[B, C]`."""
  of_models = weights[:, None, None]
  return jax.nn.logsumexp(exponent * logs, 0, b=of_models) / exponent


def _applied(
  log_kernel: jax.Array, products: bool
) -> Callable[[jax.Array], jax.Array]:
  """Returns ``log v -> log K v`` of vectors `[M, B, C]`."""
  if not products:
    return lambda v: jax.nn.logsumexp(
      v[:, :, None] + log_kernel[None, None], axis=-1
    )
  largest = jnp.max(log_kernel)
  kernel = jnp.exp(log_kernel - largest).T

  def apply(v: jax.Array) -> jax.Array:
    top = jnp.max(v, -1, keepdims=True)
    product = precision.matmul(jnp.exp(v - top), kernel)
    return jnp.log(product) + (top + largest)

  return apply


def _checked(
  probabilities: Any,
  weights: Any,
  log_kernel: np.ndarray,
  name: str,
  marginal_weight: float | None,
  iterations: int,
  tolerance: float,
) -> Barycenters:
  """Checks the arguments of `ensemble` and solves the problem."""
  found = validation.array(probabilities, 'probabilities')
  if found.ndim != 3 or 0 in found.shape:
    raise ValueError(
      f'probabilities: shape {found.shape} is not [M >= 1, N >= 1, C >= 1]'
    )
  if not np.isfinite(found).all() or (found < 0.0).any():
    raise ValueError('probabilities: must be finite and at least 0')
  sums = found.sum(2, keepdims=True)
  worst = sums.flat[np.abs(sums - 1.0).argmax()]
  if abs(worst - 1.0) > _SUM:
    raise ValueError(f'probabilities: one prediction sums to {worst:.6g}')
  classes = found.shape[2]
  if log_kernel.shape != (classes, classes):
    raise ValueError(f'{name}: shape {log_kernel.shape} for {classes} classes')
  for axis, part in ((1, 'row'), (0, 'column')):
    empty = np.flatnonzero(np.isneginf(log_kernel).all(axis))
    if len(empty):
      raise ValueError(f'{name}: {part} {empty[0]} is all zeros')
  if marginal_weight is not None and not (
    np.isfinite(marginal_weight) and marginal_weight > 0.0
  ):
    raise ValueError(f'marginal_weight: {marginal_weight} is not positive')
  if iterations < 1:
    raise ValueError(f'iterations: {iterations} is below 1')
  if not tolerance >= 0.0:
    raise ValueError(f'tolerance: {tolerance} is not at least 0')
  run = functools.partial(
    _solved, found / sums, validation.weights(weights, len(found), 'weights'),
    marginal_weight=marginal_weight, iterations=iterations, tolerance=tolerance,
  )  # fmt: skip
  span = log_kernel.max() - log_kernel.min()
  if span <= _RANGES[jnp.asarray(0.0).dtype.itemsize]:
    return run(log_kernel, products=True)
  # In float64 products hold kernels that are far narrower. What is below is 0.
  with jax.enable_x64(True):
    least = log_kernel.max() - _RANGES[8]
    wide = run(np.where(log_kernel < least, -np.inf, log_kernel), products=True)
    arrays = [np.asarray(each) for each in wide]
  if all(np.isfinite(each).all() for each in arrays):
    return Barycenters(*map(jnp.asarray, arrays))
  return run(log_kernel, products=False)


def _solved(*arrays: np.ndarray, **settings: Any) -> Barycenters:
  """Calls `solve` with arrays of the current precision."""
  return solve(*map(jnp.asarray, arrays), **settings)

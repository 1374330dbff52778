r"""Maps between inputs and their W2 barycenter, from congruent potentials.

.. math:: \psi_j(x) = \tfrac12 x^T M_j x + b_j^T x
  + \sum_h a_{jh} \log \cosh (v_h^T x + c_h), \quad
  \sum_j w_j \psi_j(x) = \tfrac12 |x|^2

The gradient of :math:`\psi_j` maps the barycenter to the input j. The gradient
of its conjugate maps back: it solves :math:`\nabla \psi_j(x) = y`. The
directions v and the offsets c are those of all inputs, so that the equation of
the sum is a linear one of M, b and a. `congruent_fitting` finds the potentials.

Shapes: J inputs, N points, D dimensions, H hidden units.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.ops import precision
from coalesce_jax.ot import validation

# Rows of one block of points, whose hidden units stay in the cache.
ROWS = 1000
# Steps that invert a gradient at new samples.
_STEPS = 200
# Root mean square of the residuals where they end, in units of the coordinates.
_SMALL = 1e-5


class Surface(NamedTuple):
  """Potentials in their own coordinates.

  Attributes:
    matrices: M, `[J, D, D]`, symmetric.
    shifts: b, `[J, D]`.
    amplitudes: a, `[J, H]`.
    directions: v, `[H, D]`.
    offsets: c, `[H]`.
  """

  matrices: jax.Array
  shifts: jax.Array
  amplitudes: jax.Array
  directions: jax.Array
  offsets: jax.Array


class Potentials(NamedTuple):
  """Potentials of points in data units.

  Attributes:
    surface: potentials of coordinates ``(x - centre) @ axes / scale``.
    axes: `[D, D]`, orthogonal.
    centre: mean of the barycenter, `[D]`, in data units.
    scale: unit of the coordinates, `[]`, in data units.
  """

  surface: Surface
  axes: jax.Array
  centre: jax.Array
  scale: jax.Array


class Mapped(NamedTuple):
  """Points of the barycenter that samples are mapped to.

  Attributes:
    points: `[J, N, D]`.
    residual: root mean square of ``grad psi_j(x) - y`` of samples y and their
      points x, relative to that of y in the coordinates of the potentials.
  """

  points: jax.Array
  residual: float


def at(surface: Surface, j: int) -> Surface:
  """Returns the potential of one input, whose leaves have no axis J."""
  return surface._replace(
    matrices=surface.matrices[j],
    shifts=surface.shifts[j],
    amplitudes=surface.amplitudes[j],
  )


def to_inputs(potentials: Potentials, points: Any) -> jax.Array:
  """Maps points of the barycenter to the inputs, `[N, D]` to `[J, N, D]`."""
  x = coordinates(potentials, jnp.asarray(points))
  inputs = range(len(potentials.surface.shifts))
  made = [gradient(at(potentials.surface, j), x) for j in inputs]
  return _data(potentials, jnp.stack(made))


def to_barycenter(potentials: Potentials, samples: Any) -> Mapped:
  """Maps samples of the inputs to the barycenter.

  Args:
    potentials: of J inputs.
    samples: `[J, N, D]`.

  Raises:
    ValueError: the samples do not fit the potentials, or are not finite.
  """
  found = validation.clouds(samples)
  inputs, dimension = potentials.surface.shifts.shape
  if found.shape[::2] != (inputs, dimension):
    raise ValueError(
      f'samples: shape {found.shape} is not [{inputs}, N, {dimension}]'
    )
  y = coordinates(potentials, jnp.asarray(found))
  x, gaps = [], []
  for j, rows in enumerate(y):
    each = [
      _inverted(at(potentials.surface, j), rows[k : k + ROWS])
      for k in range(0, len(rows), ROWS)
    ]
    x.append(jnp.concatenate([made for made, _ in each]))
    gaps += [gap for _, gap in each]
  residual = float(jnp.sqrt(sum(gaps) / jnp.sum(y**2)))
  return Mapped(_data(potentials, jnp.stack(x)), residual)


def coordinates(potentials: Potentials, x: jax.Array) -> jax.Array:
  """Returns the coordinates of points in data units, `[..., D]`."""
  flat = x.reshape(-1, x.shape[-1]) - potentials.centre[None]
  return (precision.matmul(flat, potentials.axes) / potentials.scale).reshape(
    x.shape
  )


def value(one: Surface, x: jax.Array) -> jax.Array:
  """Computes the potential of one input, leaves without J, `[N]`."""
  square = 0.5 * jnp.sum(precision.matmul(x, one.matrices) * x, 1)
  at = _hidden(one, x)
  # log cosh, which would overflow.
  curved = jnp.logaddexp(at, -at) - jnp.log(2.0)
  return square + x @ one.shifts + curved @ one.amplitudes


def gradient(one: Surface, x: jax.Array) -> jax.Array:
  """Computes the gradients of the potential of one input, `[N, D]`."""
  curved = jnp.tanh(_hidden(one, x)) * one.amplitudes[None]
  flat = precision.matmul(x, one.matrices) + one.shifts[None]
  return flat + precision.matmul(curved, one.directions)


def inverse_hessian(one: Surface, x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the inverse of the mean Hessian at points, `[D, D]`, and a number.

  The number is the smallest eigenvalue of the mean Hessian. Where it is not
  positive, the potential is not convex.
  """
  bend = jnp.mean(1.0 - jnp.tanh(_hidden(one, x)) ** 2, 0) * one.amplitudes
  mean = one.matrices + precision.matmul(
    one.directions.T * bend[None], one.directions
  )
  values, vectors = jnp.linalg.eigh(mean)
  return precision.matmul(vectors / values[None], vectors.T), values[0]


def inverted(
  one: Surface,
  back: jax.Array,
  y: jax.Array,
  x: jax.Array,
  steps: int,
  tolerance: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
  """Solves ``gradient(x) = y`` by steps of Newton with one Hessian for all.

  A step that would not reduce the residual of a row is not taken there, and the
  next one is half as long.

  Args:
    one: potential of one input, leaves without J.
    back: inverse of a Hessian, `[D, D]`.
    y: `[N, D]`.
    x: where it starts, `[N, D]`.
    steps: largest number of steps.
    tolerance: norm of the residuals of all rows where it ends.

  Returns:
    Points and their residuals ``gradient(x) - y``, `[N, D]` each.
  """

  def going(carry):
    done, _, gap, _ = carry
    return (done < steps) & (jnp.max(jnp.sum(gap**2, 1)) > tolerance**2)

  def step(carry):
    done, x, gap, rate = carry
    near = x - rate * precision.matmul(gap, back)
    after = gradient(one, near) - y
    less = jnp.sum(after**2, 1) < jnp.sum(gap**2, 1)
    rate = jnp.where(less[:, None], jnp.minimum(1.5 * rate, 1.0), 0.5 * rate)
    x = jnp.where(less[:, None], near, x)
    return done + 1, x, jnp.where(less[:, None], after, gap), rate

  start = 0, x, gradient(one, x) - y, jnp.ones((len(x), 1), x.dtype)
  return jax.lax.while_loop(going, step, start)[1:3]


@jax.jit
def _inverted(one: Surface, y: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the points of samples `[N, D]`, and their squared residual."""
  back, _ = inverse_hessian(one, y)
  x, gap = inverted(one, back, y, y, _STEPS, _SMALL * y.shape[1] ** 0.5)
  return x, jnp.sum(gap**2)


def _data(potentials: Potentials, x: jax.Array) -> jax.Array:
  flat = precision.matmul(x.reshape(-1, x.shape[-1]), potentials.axes.T)
  moved = flat * potentials.scale + potentials.centre[None]
  return moved.reshape(x.shape)


def _hidden(one: Surface, x: jax.Array) -> jax.Array:
  return precision.matmul(x, one.directions.T) + one.offsets[None]

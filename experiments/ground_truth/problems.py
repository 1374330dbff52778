r"""Barycenter problems whose answers are known, in any dimension.

A family is a set of laws with coordinates :math:`c \in R^m` in which W1 is the
Euclidean distance, because a 1-Lipschitz map :math:`\phi` into :math:`R^m` has
the coordinates as its means:

.. math::
  |E_\nu \phi - c_k| \le W_1(\mu_k, \nu) \quad \text{for every law } \nu,

with equality inside the family. So the barycenter problem over all laws has
the value of a problem of points: a Fermat-Weber point for `w1`, a mean for
`w1_squared`, a projection onto balls for `ball`.

* translates of N(0, I): :math:`\phi` projects onto the plane of the means;
* scalings :math:`N(0, s^2 I)`: :math:`\phi(x) = |x|`;
* contractions of the uniform law of a cube towards a centre: the distance to
  the centre, the potential of `ot.funnels` with one funnel.

Shapes: K laws, D dimensions, N points, m coordinates.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.models import generator
from coalesce_jax.ot import funnels
from coalesce_jax.ot import gaussians
from coalesce_jax.ot import medians
from experiments.ground_truth import laws

# Distances between the laws of a problem are about this many units.
SPAN = 4.0
# Of the way to the centre, for the law that is contracted most.
MAX_SHARE = 0.6
MAX_SWEEPS = 100_000


class Family(NamedTuple):
  """Laws by their coordinates.

  Attributes:
    at: coordinates `[m]` -> the law.
    measure: samples `[N, D]` -> `[N, m]`, 1-Lipschitz.
    unit: length by which steps are scaled.
    rest: coordinates of one law, `[m]`.
  """

  at: Callable[[Any], generator.Generator]
  measure: Callable[[jax.Array], jax.Array]
  unit: float
  rest: np.ndarray


class Problem(NamedTuple):
  """One barycenter problem.

  Attributes:
    truth: its name, such as 'T5'.
    family: of its laws.
    coordinates: of the K laws, `[K, m]`.
    weights: `[K]`.
    objective: of the game.
    method: 'joint' or 'recursive'.
    start: index of the law that a joint barycenter starts from.
    radii: `[K]` for 'ball', or None.
    unique: whether one law only is the answer.
  """

  truth: str
  family: Family
  coordinates: np.ndarray
  weights: np.ndarray
  objective: str
  method: str = 'joint'
  start: int = 0
  radii: np.ndarray | None = None
  unique: bool = True


class Answer(NamedTuple):
  """The solution: its coordinates `[m]` and the value of the objective."""

  point: np.ndarray
  value: float


def families(dimension: int, seed: int, options: Any) -> dict[str, Family]:
  """The three families of one dimension.

  Args:
    dimension: D.
    seed: of directions and centres.
    options: keyword arguments of `laws.law`.
  """
  plane = laws.direction(seed, dimension, min(dimension, 2))

  def translate(c: Any) -> generator.Generator:
    mean = np.asarray(c, np.float32) @ plane[: len(c)]
    middle = np.array([SPAN / 2.0, 0.0])[: len(plane)]
    return laws.law(
      laws.gaussian,
      {'mean': mean, 'scale': np.float32(1.0)},
      dimension,
      center=middle.astype(np.float32) @ plane,
      **options,
    )

  norm = gaussians.mean_norm(dimension)

  def scaling(c: Any) -> generator.Generator:
    params = {
      'mean': np.zeros(dimension, np.float32),
      'scale': np.float32(c[0] / norm),
    }
    return laws.law(laws.gaussian, params, dimension, scale=1.5, **options)

  pair = funnels.create(jax.random.key(seed + dimension), dimension, 1)
  # In many dimensions the distances differ little, and memory matters.
  count = min(200_000, 4_000_000 // dimension)
  points = funnels.uniform(jax.random.key(0), pair, count)
  radius = float(jnp.mean(funnels.rays(pair, points).radii))
  center = np.asarray(pair.centers[0])

  def contraction(c: Any) -> generator.Generator:
    params = {'funnels': tuple(pair), 'share': np.float32(c[0] / radius)}
    return laws.law(
      laws.contraction, params, dimension, center=center, scale=1.5, **options
    )

  return {
    'translates': Family(
      translate, lambda x: x @ jnp.asarray(plane.T), 1.0, np.zeros(len(plane))
    ),
    'scalings': Family(scaling, _norm, 1.0, np.array([norm])),
    'contractions': Family(
      contraction,
      lambda x: -_norm(x - center[None]),
      min(1.0, MAX_SHARE * radius / SPAN),
      np.zeros(1),
    ),
  }


def problems(
  dimension: int, seed: int, options: Any, which: Any = ()
) -> dict[str, Problem]:
  """All problems of one dimension by name.

  Args:
    dimension: D.
    seed: of the laws.
    options: of `laws.law`.
    which: truths to keep; empty keeps all.
  """
  of = families(dimension, seed, options)
  found: dict[str, Problem] = {}

  def add(truth: str, *details: Any, **settings: Any) -> None:
    problem = Problem(truth, *details, **settings)
    if not which or truth in which:
      name = f'{truth}_{problem.objective}_{problem.method}_D{dimension}'
      found[name] = problem

  wide = min(dimension, 2)
  pad = lambda rows: np.asarray(rows, np.float64)[:, :wide]  # noqa: E731
  two = pad([[0.0, 0.0], [SPAN, 0.0]])
  line = of['translates']
  # The recursion over two laws is the joint problem itself.
  even, heavy = np.array([0.5, 0.5]), np.array([0.3, 0.7])
  add('T1', line, two, even, 'w1', unique=False)
  add('T2', line, two, heavy, 'w1')
  add('T2s', line, two, heavy, 'w1_squared', unique=False)
  add('T2', line, two, even, 'ball', start=1, radii=np.array([0.0, 1.0]),
      unique=False)  # fmt: skip

  spread = [[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]
  radii = np.array([0.0, 3.2, 2.4])
  if dimension == 1:
    spread = [[-2.0, 0.0], [0.0, 0.0], [3.0, 0.0]]
    radii = np.array([0.0, 1.0, 4.0])
  cases = [('T5', line, pad(spread), np.full(3, 1 / 3), 1, radii)]
  # On the line the scales are 1, 2, 6: T4.
  norm = gaussians.mean_norm(dimension)
  far = 5.0 * norm if dimension == 1 else SPAN
  steps = norm + np.array([[0.0], [0.2 * far], [far]])
  cases.append(
    ('T4' if dimension == 1 else 'T6', of['scalings'], steps,
     np.full(3, 1 / 3), 2, np.array([0.0, 2.0, 2.0]))
  )  # fmt: skip
  unit = of['contractions'].unit
  cases.append(
    ('T7', of['contractions'], unit * np.array([[0.0], [2.0], [4.0]]),
     np.array([0.3, 0.4, 0.3]), 0, unit * np.array([0.0, 1.0, 1.5]))
  )  # fmt: skip
  for truth, family, points, weights, start, limits in cases:
    add(truth, family, points, weights, 'w1', start=start)
    add(truth, family, points, weights, 'w1_squared', start=start)
    # From within the last ball: multipliers that grow on a long way to their
    # constraints overshoot.
    add(truth, family, points, weights, 'ball', start=2, radii=limits)
    add(truth, family, points, weights, 'w1_squared', 'recursive')
    if truth == 'T7':
      # Its middle outweighs the first law, and then the last one.
      add(truth, family, points, weights, 'w1', 'recursive')
  return found


def answer(problem: Problem) -> Answer:
  """The solution of the problem of points.

  The recursion with `w1_squared` has that of the joint problem, a mean. With
  `w1` it is asked for T7 only: each round returns its heavier law, and the last
  one is the median.
  """
  points, weights = problem.coordinates, problem.weights
  if problem.objective == 'w1':
    found = medians.fermat_weber(points, weights)
    return Answer(found.point, found.value)
  if problem.objective == 'w1_squared':
    mean = weights @ points
    squared = ((points - mean[None]) ** 2).sum(1)
    return Answer(mean, float(weights @ squared))
  assert problem.radii is not None
  return nearest_in_balls(points[0], points[1:], problem.radii[1:])


def nearest_in_balls(
  point: np.ndarray, centers: np.ndarray, radii: np.ndarray
) -> Answer:
  """The point of the balls that is nearest to `point`, and how near.

  By Dykstra's projections, https://doi.org/10.1080/01621459.1983.10477029.

  Args:
    point: `[m]`.
    centers: `[K - 1, m]`.
    radii: `[K - 1]`.

  Raises:
    ValueError: no point lies in all balls.
  """
  x, carried = point.astype(float), np.zeros_like(centers, float)
  for _ in range(MAX_SWEEPS):
    before = x
    for k, (center, radius) in enumerate(zip(centers, radii, strict=True)):
      wanted = x + carried[k]
      away = wanted - center
      x = center + away * min(1.0, radius / max(np.linalg.norm(away), 1e-300))
      carried[k] = wanted - x
    if np.linalg.norm(x - before) < 1e-13:
      break
  over = np.linalg.norm(x[None] - centers, axis=1) - radii
  if over.max() > 1e-6:
    raise ValueError(f'radii: balls of radii {radii.tolist()} have no point')
  return Answer(x, float(np.linalg.norm(x - point)))


def _norm(x: jax.Array) -> jax.Array:
  return jnp.linalg.norm(x, axis=1)[:, None]

r"""Laws of different shapes: on the line (T3) and on small grids (T8).

On the line the value is that of the weighted median of the quantile functions,
on a grid that of the linear programme. Distances of what came back are those
of samples to the laws themselves: sorted on the line, to the atoms by linear
programme on a plane.

Shapes: K laws, P atoms, N points.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import numpy as np
from scipy import stats

from coalesce_jax.models import generator
from coalesce_jax.ot import exact
from coalesce_jax.ot import grid_barycenters
from coalesce_jax.ot import medians
from experiments.ground_truth import laws
from experiments.ground_truth import solving

LEVELS = 20_000
LINE_CASES = (
  ([0.0, 2.0, 3.0], [1.0, 0.5, 2.0], [0.4, 0.3, 0.3]),
  ([-2.0, -1.0, 0.0, 1.5, 3.0], [0.5, 2.0, 1.0, 1.5, 0.7], [0.2] * 5),
)
# Dimension and points of a side.
GRIDS = ((1, 8), (2, 4))
GRID_LAWS = 3
PLANE_SAMPLES = 800


def trials(
  config: Any, stop: Callable[[], bool]
) -> dict[str, Callable[[], dict[str, Any]]]:
  """All of them by name."""
  todo: dict[str, Callable[[], dict[str, Any]]] = {}
  for means, scales, weights in LINE_CASES:
    todo[f'T3_w1_joint_K{len(means)}'] = functools.partial(
      line, np.array(means), np.array(scales), np.array(weights), config, stop
    )
  for dimension, side in GRIDS:
    todo[f'T8_w1_joint_D{dimension}'] = functools.partial(
      grid, dimension, side, config, stop
    )
  return todo


def line(
  means: np.ndarray,
  scales: np.ndarray,
  weights: np.ndarray,
  config: Any,
  stop: Callable[[], bool],
) -> dict[str, Any]:
  """Normal laws on the line, from the last: T3."""
  levels = (np.arange(LEVELS) + 0.5) / LEVELS
  quantiles = stats.norm.ppf(levels[None], means[:, None], scales[:, None])
  median = medians.weighted_median(quantiles, weights)
  value = float(weights @ np.abs(quantiles - median[None]).mean(1))
  members = [
    _law(
      config.shapes.T3,
      laws.gaussian,
      {'mean': np.array([m], np.float32), 'scale': np.float32(s)},
      1,
      config,
      center=float(means.mean()),
      scale=float(scales.mean()),
    )
    for m, s in zip(means, scales, strict=True)
  ]
  made, history, seconds = _solve(
    config.shapes.T3, members, weights, config, stop
  )
  seeds = []
  for seed, one in enumerate(made):
    x = one.sample(jax.random.key(config.seed + 31 + seed), LEVELS)
    values = [exact.w1_line(x, q) for q in quantiles]
    seeds.append(
      _score(values, weights, value, history, seed)
      | {'distance_to_truth': exact.w1_line(x, median)}
    )
  return solving.summary_row(
    'T3', 'w1', 'joint', 1, value, seeds, seconds,
    K=len(means), estimator='sorted samples',
  )  # fmt: skip


def grid(
  dimension: int, side: int, config: Any, stop: Callable[[], bool]
) -> dict[str, Any]:
  """Random histograms on a grid: T8."""
  rng = np.random.default_rng([config.seed, dimension, side])
  axes = np.meshgrid(*[np.arange(side, dtype=float)] * dimension)
  points = np.stack([a.reshape(-1) for a in axes], 1)
  histograms = rng.dirichlet(np.full(len(points), 0.5), GRID_LAWS)
  weights = np.full(GRID_LAWS, 1.0 / GRID_LAWS)
  value = grid_barycenters.linear_programme(points, histograms, weights).value
  members = [
    _law(
      config.shapes.T8,
      laws.atoms,
      {'points': np.float32(points), 'histogram': np.float32(h)},
      dimension,
      config,
      center=(side - 1) / 2.0,
      scale=side / 4.0,
      latents=True,
    )
    for h in histograms
  ]
  made, history, seconds = _solve(
    config.shapes.T8, members, weights, config, stop
  )
  count = LEVELS if dimension == 1 else PLANE_SAMPLES
  seeds = []
  for seed, one in enumerate(made):
    x = one.sample(jax.random.key(config.seed + 37 + seed), count)
    values = [exact.w1(x, points, None, h) for h in histograms]
    seeds.append(_score(values, weights, value, history, seed))
  return solving.summary_row(
    'T8', 'w1', 'joint', dimension, value, seeds, seconds,
    K=GRID_LAWS, estimator='samples to atoms',
  )  # fmt: skip


def _law(
  settings: Any,
  base: laws.Base,
  params: Any,
  dimension: int,
  config: Any,
  **more: Any,
) -> generator.Generator:
  options = solving.law_options(config)
  options |= {'gain': settings.gain}
  return laws.law(base, params, dimension, **(options | more))


def _solve(
  settings: Any,
  members: list[generator.Generator],
  weights: np.ndarray,
  config: Any,
  stop: Callable[[], bool],
) -> Any:
  return solving.barycenter(
    members,
    weights,
    config,
    stop,
    method='joint',
    objective='w1',
    start=len(members) - 1,
    steps=settings.steps,
    warmup=settings.warmup,
    critic_steps=settings.critic_steps,
    learning_rate=settings.rate,
    critic_learning_rate=settings.critic_learning_rate,
    epsilon=settings.epsilon,
    batch_size=settings.batch_size,
  )


def _score(
  values: list[float],
  weights: np.ndarray,
  true: float,
  history: Any,
  seed: int,
) -> dict[str, float]:
  value = float(weights @ np.array(values))
  return {
    'value': value,
    'relative_gap': value / true - 1.0,
    'returned_value': float(history['objective'][-1][seed]),
  }

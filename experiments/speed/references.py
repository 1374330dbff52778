"""Our measures against POT and against what NumPy users write.

Shapes: N samples, F features.
"""

from collections.abc import Callable
import functools
import importlib
import time
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import prdc
from coalesce_jax.ot import exact
from coalesce_jax.ot import sinkhorn
from coalesce_jax.trials import timing

EPSILON = 0.05  # Of the mean distance.


class Case(NamedTuple):
  """One measure, computed twice.

  Attributes:
    name: of the measure.
    peer: whose other computation it is.
    growth: power of N that its time follows at most.
    ours: ``(x, y) -> value``.
    theirs: likewise.
  """

  name: str
  peer: str
  growth: float
  ours: Callable[[np.ndarray, np.ndarray], float]
  theirs: Callable[[np.ndarray, np.ndarray], float]


def measure(
  sizes: tuple[int, ...],
  *,
  features: int,
  rounds: int,
  seconds: float,
  seed: int,
  stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
  """Values and times of all measures.

  Args:
    sizes: N, ascending.
    features: F.
    rounds: timed calls of each, in turns.
    seconds: a size of which one call would take longer, by the growth from the
      size before, is left out; its row has no times.
    seed: of the clouds.
    stop: whether a stop was asked for.
  """
  rng = np.random.default_rng(seed)
  basis = rng.normal(size=(features, features)) / np.sqrt(features)
  clouds = [
    rng.normal(size=(max(sizes), features)) @ basis + shift
    for shift in (0.0, 0.2)
  ]
  rows = []
  for case in _cases():
    before: tuple[int, float] | None = None
    for n in sizes:
      x, y = (c[:n] for c in clouds)
      row: dict[str, Any] = {'measure': case.name, 'peer': case.peer, 'n': n}
      expected = 0.0
      if before is not None:
        expected = before[1] * (n / before[0]) ** case.growth
      if expected > seconds:
        rows.append(row | {'ratio': None})
        continue
      began = time.perf_counter()
      values = case.ours(x, y), case.theirs(x, y)
      # Long calls are timed once each; what they compile is a small part.
      slow = time.perf_counter() - began > seconds / 4.0
      spent = timing.interleave(
        {
          'ours': functools.partial(case.ours, x, y),
          'theirs': functools.partial(case.theirs, x, y),
        },
        rounds=1 if slow else rounds,
        warm=False,
        stop=stop,
      )
      before = n, max(timing.median(s) for s in spent.values())
      rows.append(
        row
        | {
          'ours': values[0],
          'theirs': values[1],
          'our_seconds': timing.median(spent['ours']),
          'peer_seconds': timing.median(spent['theirs']),
          'ratio': timing.ratio(spent['theirs'], spent['ours']),
        }
      )
  return {'rows': rows}


def _cases() -> list[Case]:
  cases = [
    Case('Frechet', 'SciPy sqrtm', 1.0, _frechet, _frechet_by_root),
    Case('PRDC', 'NumPy', 2.0, _density, _density_by_matrix),
  ]
  try:
    ot = importlib.import_module('ot')
  except ImportError:
    return cases

  def theirs(x, y):
    cost = ot.dist(x, y, metric='euclidean')
    weights = np.full(len(x), 1.0 / len(x))
    return float(ot.emd2(weights, weights, cost, numItermax=10_000_000))

  def regularised(x, y):
    cost = ot.dist(x, y, metric='euclidean')
    weights = np.full(len(x), 1.0 / len(x))
    plan = ot.sinkhorn(
      weights, weights, cost, EPSILON * cost.mean(), method='sinkhorn_log',
      stopThr=1e-6, numItermax=5000,
    )  # fmt: skip
    return float((plan * cost).sum())

  return [
    *cases,
    Case('W1, exact', 'POT', 3.0, exact.w1, theirs),
    Case('W1, Sinkhorn', 'POT', 2.0, _sinkhorn, regularised),
  ]


def _sinkhorn(x: np.ndarray, y: np.ndarray) -> float:
  epsilon = EPSILON * float(exact.cost_matrix(x, y).mean())
  return sinkhorn.bounds(x, y, epsilon=epsilon).upper


def _frechet(x: np.ndarray, y: np.ndarray) -> float:
  return frechet.frechet_squared(frechet.moments(x), frechet.moments(y))


def _frechet_by_root(x: np.ndarray, y: np.ndarray) -> float:
  """As published code computes it, by the root of the product."""
  c, d = (np.cov(z, rowvar=False) for z in (x, y))
  root = linalg.sqrtm(c @ d).real
  gap = x.mean(0) - y.mean(0)
  return float(gap @ gap + np.trace(c) + np.trace(d) - 2.0 * np.trace(root))


def _density(x: np.ndarray, y: np.ndarray) -> float:
  return prdc.prdc(x, y)['density']


def _density_by_matrix(x: np.ndarray, y: np.ndarray, k: int = 5) -> float:
  """All four by whole float64 matrices, as published code computes them."""

  def squared(a, b):
    return (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2.0 * a @ b.T

  own, other, cross = squared(x, x), squared(y, y), squared(x, y)
  for matrix in (own, other):
    np.fill_diagonal(matrix, 0.0)
  real = np.partition(own, k, axis=1)[:, k]
  fake = np.partition(other, k, axis=1)[:, k]
  inside = cross < real[:, None]
  found = {
    'precision': inside.any(0).mean(),
    'recall': (cross < fake[None]).any(1).mean(),
    'density': inside.sum(0).mean() / k,
    'coverage': inside.any(1).mean(),
  }
  return float(found['density'])

"""Our exact references against those of POT, for values and for time.

POT (Flamary et al., https://jmlr.org/papers/v22/20-451.html) has its own
network simplex; ours are assignments, sorting and a network simplex that ends
with a certificate.
Both get the same points and weights, and both pay for their cost matrix.

    pip install 'coalesce_jax[peers]'
    python -c 'from experiments.ground_truth import peers
    print(peers.table(peers.compare(0)))'

Shapes: N, M points, D dimensions, K laws, P points of a grid.
"""

from collections.abc import Callable
import importlib
import statistics
import time
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.ot import exact
from coalesce_jax.ot import grid_barycenters


class Case(NamedTuple):
  """One quantity, computed twice.

  Attributes:
    name: what is computed.
    sizes: in words.
    ours: computes it with `coalesce_jax.ot`.
    theirs: computes it with POT.
  """

  name: str
  sizes: str
  ours: Callable[[], float]
  theirs: Callable[[], float]


def available() -> bool:
  """Whether POT can be imported."""
  try:
    importlib.import_module('ot')
  except ImportError:
    return False
  return True


def compare(
  seed: int, repeats: int = 5, quick: bool = False
) -> list[dict[str, Any]]:
  """Compares values and times, case by case.

  Args:
    seed: of the points and weights.
    repeats: timed calls of each, in turns, after one that is not timed.
    quick: small sizes.

  Returns:
    Rows of `case`, `sizes`, the values `ours` and `peer`, their
    `relative_difference` (of the peer's value), the median seconds
    `our_seconds` and `peer_seconds`, and `ratio`, ours over the peer's: below 1
    ours is the faster one.

  Raises:
    ValueError: POT is not installed, or no repeats.
  """
  if repeats < 1:
    raise ValueError(f'repeats: {repeats} is below 1')
  if not available():
    raise ValueError("POT is not installed: pip install 'coalesce_jax[peers]'")
  return [_row(case, repeats) for case in _cases(seed, quick)]


def table(rows: list[dict[str, Any]]) -> str:
  """The rows of `compare` in Markdown."""
  lines = [
    '| case | sizes | ours | POT | relative difference | our s | POT s |'
    ' ours / POT |',
    '|---|---|---:|---:|---:|---:|---:|---:|',
  ]
  for row in rows:
    cells = [
      row['case'],
      row['sizes'],
      f'{row["ours"]:.6g}',
      f'{row["peer"]:.6g}',
      f'{row["relative_difference"]:.1e}',
      f'{row["our_seconds"]:.3g}',
      f'{row["peer_seconds"]:.3g}',
      f'{row["ratio"]:.3g}',
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def _row(case: Case, repeats: int) -> dict[str, Any]:
  ours, peer = case.ours(), case.theirs()
  spent: tuple[list[float], list[float]] = ([], [])
  for _ in range(repeats):
    # In turns, so that a busy moment of the machine meets both.
    for seconds, call in zip(spent, (case.ours, case.theirs), strict=True):
      start = time.perf_counter()
      call()
      seconds.append(time.perf_counter() - start)
  our_seconds, peer_seconds = (statistics.median(s) for s in spent)
  return {
    'case': case.name,
    'sizes': case.sizes,
    'ours': ours,
    'peer': peer,
    'relative_difference': abs(ours - peer) / abs(peer),
    'our_seconds': our_seconds,
    'peer_seconds': peer_seconds,
    'ratio': our_seconds / peer_seconds,
  }


def _cases(seed: int, quick: bool) -> list[Case]:
  rng = np.random.default_rng(seed)
  n, d = (60, 4) if quick else (1000, 16)
  equal = _clouds(rng, n, n, d)
  same = np.full(n, 1.0 / n)
  n, m = (20, 30) if quick else (300, 400)
  weighted = _clouds(rng, n, m, d)
  a, b = _weights(rng, n), _weights(rng, m)
  p, q = (200, 150) if quick else (10_000, 7_000)
  line = _clouds(rng, p, q, 1)
  u, v = _weights(rng, p), _weights(rng, q)
  side = 3 if quick else 7
  axis = np.arange(float(side))
  grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
  bars = rng.dirichlet(np.ones(side * side), 3)
  shares = _weights(rng, 3)
  return [
    Case(
      'W1, equal weights',
      f'{len(equal[0])} x {len(equal[1])}, D = {d}',
      lambda: exact.w1(*equal),
      lambda: _plane(*equal, same, same),
    ),
    Case(
      'W1, random weights',
      f'{n} x {m}, D = {d}',
      lambda: exact.w1(*weighted, a, b),
      lambda: _plane(*weighted, a, b),
    ),
    Case(
      'W1 on the line, random weights',
      f'{p} x {q}',
      lambda: exact.w1_line(*line, u, v),
      lambda: _line(*line, u, v),
    ),
    Case(
      'W1 barycenter on a grid',
      f'K = 3, {side} x {side}',
      lambda: grid_barycenters.linear_programme(grid, bars, shares).value,
      lambda: _barycenter(grid, bars, shares),
    ),
  ]


def _clouds(
  rng: np.random.Generator, n: int, m: int, d: int
) -> tuple[np.ndarray, np.ndarray]:
  return rng.normal(size=(n, d)), 0.5 + 1.5 * rng.normal(size=(m, d))


def _weights(rng: np.random.Generator, n: int) -> np.ndarray:
  return rng.dirichlet(np.ones(n))


def _plane(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
  ot = importlib.import_module('ot')
  cost = ot.dist(x, y, metric='euclidean')
  # By its own default POT stops early, with a warning.
  return float(ot.emd2(a, b, cost, numItermax=10_000_000))


def _line(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
  ot = importlib.import_module('ot')
  # The p-th power of W_p, so W1 itself for p = 1.
  return float(ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=1))


def _barycenter(
  points: np.ndarray, bars: np.ndarray, weights: np.ndarray
) -> float:
  ot = importlib.import_module('ot')
  cost = ot.dist(points, points, metric='euclidean')
  _, log = ot.lp.barycenter(
    bars.T, cost, weights=weights, log=True, solver='highs'
  )
  return float(log['fun'])

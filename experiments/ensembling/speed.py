"""Times barycenters of predictions beside POT's, in turns.

Shapes: M models, N predictions, C classes.
"""

import time
from typing import Any

import jax
import numpy as np

from coalesce_jax.ot import ensembling

# Predictions of each turn of POT, which takes one at a time.
_FEW = 10


def beside_pot(config: Any) -> dict[str, Any]:
  """Returns seconds, and ratios of the times for one prediction, by kernel.

  A ratio above 1 says how many times as long POT takes. Both end where their
  own change is below 1e-4, or after as many iterations. The first turn compiles
  and is not counted.

  Raises:
    ValueError: POT is not installed.
  """
  try:
    import ot
  except ImportError as error:
    raise ValueError(
      "the trial 'speed' needs POT: pip install 'coalesce_jax[ot]', or "
      '--config.speed.repeats=0'
    ) from error
  part = config.speed
  rng = np.random.default_rng(config.seed)
  shape = part.models, part.predictions
  p = rng.dirichlet(np.full(part.classes, 0.3), shape).astype(np.float32)
  points = rng.normal(size=(part.classes, 5))
  cost = ((points[:, None] - points[None]) ** 2).sum(2)
  cost /= cost.max()
  found: dict[str, Any] = {}
  for epsilon in part.epsilons:
    ours, theirs = [], []
    for _ in range(part.repeats + 1):
      began = time.perf_counter()
      made = ensembling.from_costs(
        p, None, cost, epsilon=epsilon, iterations=part.iterations
      )
      jax.block_until_ready(made)
      ours.append(time.perf_counter() - began)
      began = time.perf_counter()
      for k in range(_FEW):
        ot.bregman.barycenter(
          p[:, k % part.predictions].T.astype(np.float64), cost, epsilon,
          numItermax=part.iterations, stopThr=1e-4, warn=False,
        )  # fmt: skip
      theirs.append((time.perf_counter() - began) / _FEW)
    pairs = zip(ours[1:], theirs[1:], strict=True)
    found[f'epsilon {epsilon}'] = {
      'seconds': ours[1:],
      'ratio': [other * part.predictions / own for own, other in pairs],
    }
  return {'kernels': found}

"""One evaluation for every row of every table.

Generated samples are judged against the whole target distribution's held-out
split, in the features of one named network.

Shapes: N real, M fake samples; F features; C classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.metrics import features as features_lib
from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import kid
from coalesce_jax.metrics import prdc
from coalesce_jax.ot import exact

W1_SAMPLES = 1000
# Fraction of real samples that are as near to a local one as a copy is.
NEAR = 0.05


class Reference(NamedTuple):
  """Everything about the real data, computed once.

  Attributes:
    network: the feature network.
    features: of the held-out split, `[N, F]`.
    moments: of the held-out split.
    floor: squared Frechet distance between the held-out split and as many
      training samples of the target: what real data score.
    w1_floor: exact W1 between two disjoint halves of real samples, of
      `W1_SAMPLES` or fewer.
    histogram: class frequencies of the held-out split, `[C]`.
  """

  network: features_lib.Features
  features: np.ndarray
  moments: frechet.Moments
  floor: float
  w1_floor: float
  histogram: np.ndarray


def reference(
  network: features_lib.Features,
  held_out: Any,
  train: Any = None,
  seed: int = 0,
) -> Reference:
  """Measures the real data.

  Args:
    network: the feature network.
    held_out: images of the target's held-out split, `[N, H, W, C]`.
    train: training images of the target, for the floors; None takes two
      disjoint halves of `held_out`, whose floors are higher.
    seed: of the subsets.
  """
  rng = np.random.default_rng(seed)
  features, probabilities = features_lib.extract(network, held_out)
  moments = frechet.moments(features)
  if train is None:
    order = rng.permutation(len(features))
    one, other = np.split(features[order[: len(order) // 2 * 2]], 2)
  else:
    if len(train) > len(held_out):
      train = train[rng.permutation(len(train))[: len(held_out)]]
    one, other = features, features_lib.extract(network, train)[0]
  n = min(W1_SAMPLES, len(one), len(other))
  return Reference(
    network=network,
    features=features,
    moments=moments,
    floor=frechet.frechet_squared(frechet.moments(one), frechet.moments(other)),
    w1_floor=exact.w1(_subset(one, n, rng), _subset(other, n, rng)),
    histogram=_histogram(probabilities),
  )


def quick(images: Any, real: Reference) -> float:
  """The squared Frechet distance alone."""
  features, _ = features_lib.extract(real.network, images)
  return frechet.frechet_squared(frechet.moments(features), real.moments)


def evaluate(
  images: Any, real: Reference, local: Any = None, seed: int = 0
) -> dict[str, float]:
  """All measures of generated images.

  Args:
    images: `[M, H, W, C]`, uint8 or in [-1, 1].
    real: the reference.
    local: images the generator was trained on, for memorisation.
    seed: of the subsets.

  Returns:
    `frechet` (squared, biased upwards by about the same amount as `real`),
    `kid`, `precision`, `recall`, `density`, `coverage`, `w1` (exact, between
    subsets of equal size) and `w1_real` (the same between real samples),
    `class_tv` (total variation between class frequencies; only where the
    network classifies), and with `local` `memorisation` (median distance of
    generated samples to their nearest local sample, over that of held-out
    real samples: far below 1 is copying) and `copied` (fraction of generated
    samples nearer to a local sample than 95 % of held-out real samples are;
    0.05 for fresh real data).
  """
  rng = np.random.default_rng(seed)
  features, probabilities = features_lib.extract(real.network, images)
  fake = frechet.moments(features)
  n = min(W1_SAMPLES, len(features), len(real.features))
  scores = {
    'frechet': frechet.frechet_squared(fake, real.moments),
    'real': real.floor,
    'kid': kid.kid(
      _subset(features, 2000, rng), _subset(real.features, 2000, rng)
    ),
    **prdc.prdc(
      _subset(real.features, 5000, rng), _subset(features, 5000, rng)
    ),
    'w1': exact.w1(_subset(features, n, rng), _subset(real.features, n, rng)),
    'w1_real': real.w1_floor,
  }
  if real.network.classes:
    gap = np.abs(_histogram(probabilities) - real.histogram)
    scores['class_tv'] = float(0.5 * gap.sum())
  if local is not None:
    near, _ = features_lib.extract(real.network, local)
    scores |= memorisation(features, real.features, near)
  return scores


def memorisation(
  fake: np.ndarray, real: np.ndarray, local: np.ndarray
) -> dict[str, float]:
  """Nearest-local-sample distances of fakes against those of real samples.

  Args:
    fake: `[M, F]`, generated.
    real: `[N, F]`, held out.
    local: `[L, F]`, trained on.

  Returns:
    `memorisation` and `copied`, see `evaluate`.
  """
  generated = prdc.nearest(fake, local)
  fresh = prdc.nearest(real, local)
  return {
    'memorisation': float(np.median(generated) / max(np.median(fresh), 1e-12)),
    'copied': float(np.mean(generated < np.quantile(fresh, NEAR))),
  }


def copies(real: np.ndarray, local: np.ndarray) -> Callable[[Any], float]:
  """`copied` of `memorisation` for one cloud of local samples and many fakes.

  Args:
    real: `[N, F]`, held out.
    local: `[L, F]`.

  Returns:
    ``[M, F] -> fraction``.
  """
  radius = np.quantile(prdc.nearest(real, local), NEAR)
  return lambda fake: float(np.mean(prdc.nearest(fake, local) < radius))


def label(real: Reference, count: int) -> str:
  """The name of the score: network and number of generated samples."""
  return f'frechet_{real.network.name}_n{count}'


def _subset(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
  return x if len(x) <= n else x[rng.permutation(len(x))[:n]]


def _histogram(probabilities: np.ndarray) -> np.ndarray:
  classes = probabilities.shape[1]
  counts = np.bincount(probabilities.argmax(-1), minlength=classes)
  return counts / counts.sum()

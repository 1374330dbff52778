"""Scores generated images against real ones, the same way for all results.

Generated images are compared with the held-out split of the whole target
distribution, in the features of one named network.

Shapes: N real, M generated samples, L local samples, F features, C classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.data import samples
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import kid
from coalesce_jax.metrics import prdc
from coalesce_jax.ot import exact

W1_SAMPLES = 1000
# Fraction of held-out real samples that count as copies of a local sample.
NEAR = 0.05
# Fewest generated samples, of which each has a fifth neighbour.
MIN_SAMPLES = 6


class Reference(NamedTuple):
  """The real data's features and scores, which are computed once.

  Attributes:
    network: the feature network.
    features: features of the held-out split, `[N, F]`.
    moments: moments of these features.
    floor: squared Frechet distance between the held-out split and as many
      training samples of the target, which is the score of real data.
    w1_floor: exact W1 between two disjoint sets of at most `W1_SAMPLES` real
      samples.
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
  *,
  in_range: bool = False,
) -> Reference:
  """Computes the features and scores of the real data.

  Args:
    network: the feature network.
    held_out: images of the target's held-out split, `[N, H, W, C]`, uint8 or in
      [-1, 1].
    train: training images of the target, for the floors. None uses two
      disjoint halves of `held_out`, which gives higher floors.
    seed: seed of the subsets.
    in_range: whether floats are known to be in [-1, 1]. Otherwise bright images
      are refused, whose range nobody could tell.

  Raises:
    ValueError: the values of images are ambiguous or not finite.
  """
  shape = network.image_shape
  held_out = samples.checked(held_out, shape, 'held_out', in_range=in_range)
  if train is not None:
    train = samples.checked(train, shape, 'train', in_range=in_range)
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
  """Computes only the squared Frechet distance of generated images."""
  features, _ = features_lib.extract(real.network, images)
  return frechet.frechet_squared(frechet.moments(features), real.moments)


def evaluate(
  images: Any, real: Reference, local: Any = None, seed: int = 0
) -> dict[str, float]:
  """Computes all scores of generated images.

  Args:
    images: `[M, H, W, C]`, uint8 or in [-1, 1].
    real: the reference.
    local: images that the generator was trained on, `[L, H, W, C]`, for the
      scores of memorisation.
    seed: seed of the subsets.

  Returns:
    Scores by name:

    * `frechet`: squared Frechet distance, too large by about as much as `real`.
    * `real`: the squared Frechet distance of real images, `Reference.floor`.
    * `kid`: see `kid`.
    * `precision`, `recall`, `density`, `coverage`: see `prdc`.
    * `w1`: exact W1 between subsets of equal size.
    * `w1_real`: W1 between real samples, `Reference.w1_floor`.
    * `class_tv`: total variation distance between the class frequencies, if the
      network classifies.
    * `memorisation`, `copied`: see `memorisation`, if there are local images.
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
    local = samples.checked(local, real.network.image_shape, 'local')
    near, _ = features_lib.extract(real.network, local)
    scores |= memorisation(features, real.features, near)
  return scores


def memorisation(
  fake: np.ndarray, real: np.ndarray, local: np.ndarray
) -> dict[str, float]:
  """Computes how near generated samples are to the local samples.

  Args:
    fake: features of generated samples, `[M, F]`.
    real: features of held-out real samples, `[N, F]`.
    local: features of the samples that were trained on, `[L, F]`.

  Returns:
    Scores by name:

    * `memorisation`: median distance of a generated sample to its nearest local
      sample, divided by that of held-out real samples. Far below 1 it means
      copying. It is NaN if most held-out samples are local samples too.
    * `copied`: fraction of generated samples that are nearer to a local sample
      than 95 % of held-out real samples are. It is 0.05 for new real data.
  """
  generated = prdc.nearest(fake, local)
  fresh = prdc.nearest(real, local)
  typical = float(np.median(fresh))
  ratio = float(np.median(generated)) / typical if typical else float('nan')
  return {
    'memorisation': ratio,
    'copied': float(np.mean(generated < np.quantile(fresh, NEAR))),
  }


def copies(real: np.ndarray, local: np.ndarray) -> Callable[[Any], float]:
  """Returns a function that computes `copied` of many generated sample sets.

  Args:
    real: features of held-out real samples, `[N, F]`.
    local: features of the samples that were trained on, `[L, F]`.

  Returns:
    ``generated features [M, F] -> copied``, see `memorisation`.
  """
  radius = np.quantile(prdc.nearest(real, local), NEAR)
  return lambda fake: float(np.mean(prdc.nearest(fake, local) < radius))


def label(real: Reference, count: int) -> str:
  """Returns the name of the Frechet score: its network and sample size."""
  return f'frechet_{real.network.name}_n{count}'


def _subset(x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
  return x if len(x) <= n else x[rng.permutation(len(x))[:n]]


def _histogram(probabilities: np.ndarray) -> np.ndarray:
  classes = probabilities.shape[1]
  counts = np.bincount(probabilities.argmax(-1), minlength=classes)
  return counts / counts.sum()

"""Scores generators against real images.

Shapes: N images, H, W, C image, S replicas.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from coalesce_jax.data import samples as samples_lib
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import evaluate as evaluate_lib
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.models import checks
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator as generator_lib

MAX_SAMPLES = 1_000_000


def evaluate(
  generator: generator_lib.Generator,
  images: Any,
  *,
  features: str | features_lib.Features | None = None,
  samples: int | None = None,
  local: Any = None,
  seed: int = 0,
) -> dict[str, Any]:
  """Scores one generator against held-out real images.

  Args:
    generator: a generator without replicas.
    images: `[N, H, W, C]`, N >= 20, uint8 or in [-1, 1], see
      `data.samples.array`. The score `real` is the distance between two
      disjoint halves of them.
    features: a feature network or its name, see `feature_registry.named`. None
      is the network of the data set in the generator's provenance, or random
      features without one.
    samples: number of generated samples, at least 6; None is N.
    local: images that the generator was trained on, for the scores of
      memorisation.
    seed: seed of the samples and subsets.

  Returns:
    The scores of `metrics.evaluate.evaluate`, and in `features` the name of the
    feature network.

  Raises:
    ValueError: there are too few images or samples, images have another shape,
      their values are ambiguous or not finite, the features do not fit them, or
      the generator's samples are unusable.
  """
  if samples is not None:
    check_samples('samples', samples)
  shape = tuple(generator.spec.image_shape)
  if len(shape) != 3:
    raise ValueError(f'the generator makes vectors {shape}, not images')
  images = samples_lib.array(images, shape, 'images')
  if images.ndim != 4 or len(images) < 20:
    raise ValueError(
      f'images {images.shape}: at least 20 of [H, W, C] needed'
      + samples_lib.advice(images.shape[1:], shape)
    )
  images = _checked('images', images, shape)
  if local is not None:
    local = samples_lib.array(local, shape, 'local images')
    local = _checked('local images', local, shape)
    if not len(local):
      raise ValueError('local images: there are none; pass local=None')
  network = _network(generator, images, features)
  reference = evaluate_lib.reference(network, images, seed=seed)
  count = len(images) if samples is None else int(samples)
  fake = checks.usable_samples(
    generator.sample(jax.random.key(seed), count), 'generator'
  )
  scores = evaluate_lib.evaluate(fake, reference, local, seed)
  return {**scores, 'features': network.name}


def _checked(name: str, images: Any, shape: tuple[int, ...]) -> np.ndarray:
  found = tuple(images.shape[1:])
  if found != shape:
    raise ValueError(
      f'{name} are {found}, the generator makes {shape}'
      + samples_lib.advice(found, shape)
    )
  return np.asarray(samples_lib.checked(images, shape, name))


def check_samples(name: str, samples: Any) -> None:
  """Checks a number of generated samples.

  Args:
    name: name of the setting, for the message.
    samples: its value.

  Raises:
    ValueError: it is no whole number, or out of bounds.
  """
  least, most = evaluate_lib.MIN_SAMPLES, MAX_SAMPLES
  if (
    isinstance(samples, bool)
    or not isinstance(samples, int | np.integer)
    or not least <= samples <= most
  ):
    raise ValueError(
      f'{name}={samples} is not a number of samples in [{least}, {most}]'
    )


def _network(
  generator: generator_lib.Generator,
  images: np.ndarray,
  features: str | features_lib.Features | None,
) -> features_lib.Features:
  if isinstance(features, features_lib.Features):
    return features
  shape = tuple(images.shape[1:])
  if features:
    return feature_registry.named(features, shape)
  name = generator.spec.provenance.get('dataset', '')
  if name in feature_registry.COMMITTED:
    network = feature_registry.load(name)
    if network.image_shape == shape:
      return network
  return classifier_features.random(shape)


def frechet(
  generator: generator_lib.Generator,
  real: evaluate_lib.Reference,
  samples: int,
  keys: Sequence[jax.Array],
) -> list[float]:
  """Computes the squared Frechet distance of every replica.

  Args:
    generator: S replicas.
    real: the reference.
    samples: number of generated samples.
    keys: S random keys of the latents.
  """
  return [
    evaluate_lib.quick(
      np.asarray(ensembles.member(generator, s).sample(key, samples)), real
    )
    for s, key in enumerate(keys)
  ]


def scores(
  generator: generator_lib.Generator,
  real: evaluate_lib.Reference,
  samples: int,
  local: Any = None,
) -> dict[str, list[float]]:
  """Computes all scores of every replica.

  Args:
    generator: S replicas.
    real: the reference.
    samples: number of generated samples.
    local: for each replica the images that it was trained on, `[S, ...]`.

  Returns:
    For each score of `metrics.evaluate.evaluate` the values of all replicas.
  """
  found = [
    evaluate_lib.evaluate(
      np.asarray(
        ensembles.member(generator, s).sample(
          jax.random.key(10_000 + s), samples
        )
      ),
      real,
      None if local is None else local[s],
    )
    for s in range(ensembles.count(generator))
  ]
  return {k: [f[k] for f in found] for k in found[0]}

"""Scores of one generator against images, features chosen by what is known."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import evaluate as evaluate_lib
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.models import generator as generator_lib


def evaluate(
  generator: generator_lib.Generator,
  images: Any,
  *,
  features: str | features_lib.Features | None = None,
  samples: int | None = None,
  local: Any = None,
  seed: int = 0,
) -> dict[str, Any]:
  """Judges a generator by held-out real images.

  Args:
    generator: without ensemble axes.
    images: `[N, H, W, C]`, N >= 20, uint8 or in [-1, 1]; the floor `real` is
      the distance of two disjoint halves of them.
    features: network or its name (see `feature_registry.named`); None takes the
      committed one of the data set that the generator's provenance names,
      random features otherwise.
    samples: number of generated samples; None is N.
    local: images the generator was trained on, for memorisation.
    seed: of samples and subsets.

  Returns:
    See `metrics.evaluate.evaluate`; the score's features in `features`.

  Raises:
    ValueError: too few images, of another shape, or features that they cannot
      have.
  """
  images = np.asarray(images)
  if images.ndim != 4 or len(images) < 20:
    raise ValueError(f'images {images.shape}: at least 20 of [H, W, C] needed')
  if tuple(images.shape[1:]) != tuple(generator.spec.image_shape):
    raise ValueError(
      f'images are {tuple(images.shape[1:])}, the generator makes '
      f'{tuple(generator.spec.image_shape)}'
    )
  network = _network(generator, images, features)
  reference = evaluate_lib.reference(network, images, seed=seed)
  made = generator.sample(jax.random.key(seed), samples or len(images))
  found = evaluate_lib.evaluate(np.asarray(made), reference, local, seed)
  return {**found, 'features': network.name}


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
  made: generator.Generator,
  real: evaluate_lib.Reference,
  samples: int,
  keys: Sequence[jax.Array],
) -> list[float]:
  """Squared Frechet distance of every member; the latents are of its key."""
  return [
    evaluate_lib.quick(
      np.asarray(ensembles.member(made, s).sample(key, samples)), real
    )
    for s, key in enumerate(keys)
  ]


def scores(
  made: generator.Generator,
  real: evaluate_lib.Reference,
  samples: int,
  local: Any = None,
) -> dict[str, list[float]]:
  """All measures of every member, lists by name; `local` has a row a member."""
  found = [
    evaluate_lib.evaluate(
      np.asarray(
        ensembles.member(made, s).sample(jax.random.key(10_000 + s), samples)
      ),
      real,
      None if local is None else local[s],
    )
    for s in range(ensembles.count(made))
  ]
  return {k: [f[k] for f in found] for k in found[0]}

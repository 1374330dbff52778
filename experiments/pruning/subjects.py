"""The networks to prune: how they are trained, sampled and scored.

Shapes: N samples.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import frechet
from coalesce_jax.models import generator as generator_lib
from experiments.pruning import grounds
from experiments.pruning import translators

KINDS = ('latent', 'pix2pix', 'cyclegan')
# Main score of each kind; lower is better.
SCORES = {'latent': 'frechet', 'pix2pix': 'l1', 'cyclegan': 'frechet'}


def make(config: Any, subject: Any) -> grounds.Ground:
  """Loads the data of a subject.

  Args:
    config: settings.
    subject: its own settings.

  Raises:
    ValueError: an unknown kind, or data that cannot be read.
  """
  if subject.kind not in KINDS:
    raise ValueError(f'kind {subject.kind!r} is not one of {KINDS}')
  makers = {
    'latent': _latent,
    'pix2pix': translators.pix2pix,
    'cyclegan': translators.cyclegan,
  }
  return makers[subject.kind](config, subject)


def generator(
  config: Any, shape: tuple[int, ...], width: int, critic_width: int
) -> generator_lib.Spec:
  """Returns the spec of a generator of latents."""
  return generator_lib.Spec(
    'dcgan', config.latent_size, shape, generator_lib.freeze({'width': width}),
    'dcgan', generator_lib.freeze({'width': critic_width}),
  )  # fmt: skip


def _latent(config: Any, subject: Any) -> grounds.Ground:
  train, test = datasets.both(subject.data, config.data_dir or None)
  images = train.images[: config.images or None]
  spec = generator(
    config, images.shape[1:], subject.width, subject.critic_width
  )
  default = pretraining.Config()
  game = dataclasses.replace(default.game, batch_size=subject.batch_size)

  def problem(
    specs: Sequence[generator_lib.Spec], steps: int
  ) -> problems.Problem:
    changed = grounds.lasting(default, config, steps, game=game)
    return pretraining.problem(images, specs[0], changed)

  network = feature_registry.load(subject.data)
  features = functools.partial(grounds.features, network)
  real = frechet.moments(features(test.images))
  draw = lambda n, seed: np.asarray(  # noqa: E731
    jax.random.normal(jax.random.key(seed), (n, config.latent_size))
  )

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    return {'frechet': far}

  part = grounds.Part(
    spec, spec.build_critic(), draw(config.pool, 1), draw(config.samples, 2)
  )
  return grounds.Ground((part,), problem, features, score, images=images)

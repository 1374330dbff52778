"""The networks to prune: how they are trained, sampled and scored.

Shapes: S seeds, N samples, F features.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.compress import density
from coalesce_jax.compress import pruning
from coalesce_jax.compress import shrinking
from coalesce_jax.core import types
from coalesce_jax.data import datasets
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.data import pixels
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import feature_registry
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import image_scores
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings as translation_settings
from coalesce_jax.translation import training

KINDS = ('latent', 'pix2pix')
_BATCH = 100
# Main score of each kind; lower is better.
SCORES = {'latent': 'frechet', 'pix2pix': 'l1'}


class Ground(NamedTuple):
  """What methods of pruning need to know of a subject.

  Attributes:
    spec: of the large network.
    critic: network of its critic.
    problem: ``(spec, steps) -> problem``.
    inputs: pool of inputs, `[N, ...]`.
    features: ``samples -> [N, F]``.
    score: ``samples of a network -> scores by name``.
    asked: inputs of the samples that are scored.
    view: see `pruning.Subject`.
  """

  spec: generator_lib.Spec
  critic: types.Network
  problem: Callable[[generator_lib.Spec, int], problems.Problem]
  inputs: Any
  features: Callable[[Any], np.ndarray]
  score: Callable[[np.ndarray], dict[str, float]]
  asked: Any
  view: Callable[[Any, Any], Any] | None = None

  def whole(
    self, params: types.Params, critic: types.Params, steps: int, tuning: int
  ) -> shrinking.Whole:
    """Returns the large network of one seed, to be made smaller.

    Args:
      params: its parameters.
      critic: those of its critic.
      steps: that it was trained for.
      tuning: steps of the fine-tuning.
    """
    subject = pruning.Subject(
      self.spec, params, self.critic, critic, self.inputs, self.view
    )

    def problem(
      specs: Sequence[generator_lib.Spec], new: bool
    ) -> problems.Problem:
      return self.problem(specs[0], tuning + steps if new else tuning)

    return shrinking.Whole((subject,), (critic,), problem, self.features)

  def sample(
    self, spec: generator_lib.Spec, params: types.Params
  ) -> np.ndarray:
    """Returns the samples of a network that are scored."""
    network = spec.build()
    apply = jax.jit(lambda p, x: network.apply(p, pixels.decode(x)))
    return np.concatenate([
      np.asarray(apply(params, self.asked[first : first + _BATCH]))
      for first in range(0, len(self.asked), _BATCH)
    ])  # fmt: skip

  def scores(
    self, made: np.ndarray, before: np.ndarray | None = None
  ) -> dict[str, float]:
    """Returns scores of samples, and how they agree with those before."""
    found = dict(self.score(made))
    if before is not None:
      found['agreement'] = density.agreement(
        self.features(before), self.features(made)
      )
      found['changed'] = float(np.mean(np.abs(made - before)))
    return found


def schedule(steps: int, fast_compile: bool = False) -> loop.Schedule:
  """Returns the schedule of a training."""
  chunk = loop.chunk_of(steps, 50)
  return loop.Schedule(steps, chunk, fast_compile=fast_compile)


def make(config: Any, subject: Any) -> Ground:
  """Loads the data of a subject.

  Args:
    config: settings.
    subject: its own settings.

  Raises:
    ValueError: an unknown kind, or data that cannot be read.
  """
  if subject.kind not in KINDS:
    raise ValueError(f'kind {subject.kind!r} is not one of {KINDS}')
  return (_latent if subject.kind == 'latent' else _pix2pix)(config, subject)


def _latent(config: Any, subject: Any) -> Ground:
  train, test = datasets.both(subject.data, config.data_dir or None)
  images = train.images[: config.images or None]
  spec = generator_lib.Spec(
    'dcgan', config.latent_size, images.shape[1:],
    generator_lib.freeze({'width': subject.width}),
    'dcgan', generator_lib.freeze({'width': subject.width}),
  )  # fmt: skip
  default = pretraining.Config()
  game = dataclasses.replace(default.game, batch_size=subject.batch_size)

  def problem(spec: generator_lib.Spec, steps: int) -> problems.Problem:
    changed = dataclasses.replace(
      default, game=game, schedule=schedule(steps, config.fast_compile)
    )
    return pretraining.problem(images, spec, changed)

  network = feature_registry.load(subject.data)
  features = functools.partial(_features, network)
  real = frechet.moments(features(test.images))
  draw = lambda n, seed: np.asarray(  # noqa: E731
    jax.random.normal(jax.random.key(seed), (n, config.latent_size))
  )

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    return {'frechet': far}

  return Ground(
    spec, spec.build_critic(), problem, draw(config.pool, 1), features, score,
    draw(config.samples, 2),
  )  # fmt: skip


def _pix2pix(config: Any, subject: Any) -> Ground:
  chosen = pair_settings.Settings(crop_size=config.side)
  train, held = pairs_lib.load(subject.data, chosen, config.data_dir or None)
  if config.images:
    train = train._replace(
      condition=train.condition[: config.images],
      target=train.target[: config.images],
    )
  default = translation_settings.Pix2pix()
  settings = dataclasses.replace(
    default,
    batch_size=subject.batch_size,
    networks=dataclasses.replace(
      default.networks, ngf=subject.width, ndf=subject.width,
      downs=config.side.bit_length() - 1,
    ),
  )  # fmt: skip
  images = training.data((train, held), None, paired=True)
  spec, critic = pix2pix_method.networks(images, settings)

  def problem(spec: generator_lib.Spec, steps: int) -> problems.Problem:
    changed = dataclasses.replace(
      settings, schedule=schedule(steps, config.fast_compile)
    )
    return pix2pix_method.problem(images, changed, spec)

  network = classifier_features.random(spec.image_shape)
  features = functools.partial(_features, network)
  real = frechet.moments(features(held.target))

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    return {
      'l1': image_scores.evaluate(made, held.target)['l1'], 'frechet': far,
    }  # fmt: skip

  return Ground(
    spec, critic, problem, train.condition[: config.pool], features, score,
    held.condition, pair_sources.beside,
  )  # fmt: skip


def _features(network: features_lib.Features, images: Any) -> np.ndarray:
  return features_lib.extract(network, images)[0]

"""Translators to prune: a U-Net by pix2pix, ResNets by CycleGAN.

Shapes: N samples, F features.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pair_settings
from coalesce_jax.data import pairs as pairs_lib
from coalesce_jax.methods import problems
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import frechet
from coalesce_jax.metrics import image_scores
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings as translation_settings
from coalesce_jax.translation import training
from experiments.pruning import grounds


def _pairs(config: Any, subject: Any) -> tuple[Any, training.Data, Any, Any]:
  """Loads pairs or domains.

  Returns:
    Those held out; they and those for training, checked; a pool of conditions
    and one of targets that only agents see; and such pools of images for
    training.
  """
  chosen = pair_settings.Settings(crop_size=config.side)
  train, held = pairs_lib.load(subject.data, chosen, config.data_dir or None)
  pool: list[Any] = []
  trained: list[Any] = []
  for name in ('condition', 'target'):
    images = getattr(train, name)
    order = np.random.default_rng(0).permutation(len(images))
    count = round(config.pool_share * len(images))
    pool.append(images[order[:count][: config.pool]])
    rest = np.sort(order[count:])[: config.images or None]
    train = train._replace(**{name: images[rest]})
    some = np.random.default_rng(1).permutation(rest)[: config.pool]
    trained.append(images[some])
  paired = subject.kind == 'pix2pix'
  checked = training.data((train, held), None, paired=paired)
  return held, checked, pool, trained


def _networks(config: Any, subject: Any, default: Any) -> Any:
  """Returns the settings of a method with the widths of a subject."""
  networks = dataclasses.replace(
    default.networks, ngf=subject.width, ndf=subject.width,
    downs=config.side.bit_length() - 1, n_layers_d=1,
  )  # fmt: skip
  return dataclasses.replace(
    default, networks=networks, batch_size=subject.batch_size
  )


def _lasting(
  config: Any, settings: Any, make: Callable[[Any, Any], problems.Problem]
) -> Callable[[Sequence[generator_lib.Spec], int], problems.Problem]:
  """Gives a maker of problems the settings that last for some steps."""

  def problem(
    specs: Sequence[generator_lib.Spec], steps: int
  ) -> problems.Problem:
    return make(grounds.lasting(settings, config, steps), specs)

  return problem


def _translated(
  held: Any, shape: tuple[int, ...]
) -> tuple[Callable[[Any], np.ndarray], Callable[..., dict[str, float]]]:
  """Returns the features and the scores of translations of held-out images."""
  network = classifier_features.random(shape)
  features = functools.partial(grounds.features, network)
  real = frechet.moments(features(held.target))

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    l1 = image_scores.evaluate(made, held.target)['l1']
    return {'l1': l1, 'frechet': far}

  return features, score


def pix2pix(config: Any, subject: Any) -> grounds.Ground:
  held, images, pool, trained = _pairs(config, subject)
  settings = _networks(config, subject, translation_settings.Pix2pix())
  spec, critic = pix2pix_method.networks(images, settings)

  problem = _lasting(
    config, settings, lambda changed, specs:
    pix2pix_method.problem(images, changed, specs[0]),
  )  # fmt: skip
  part = grounds.Part(
    spec, critic, pool[0], held.condition, pair_sources.beside, trained[0]
  )
  features, score = _translated(held, spec.image_shape)
  return grounds.Ground((part,), problem, features, score)


def cyclegan(config: Any, subject: Any) -> grounds.Ground:
  held, images, pool, trained = _pairs(config, subject)
  settings = _networks(config, subject, translation_settings.CycleGan())
  specs, critic = cyclegan_method.networks(images, settings)

  problem = _lasting(
    config, settings, lambda changed, specs:
    cyclegan_method.problem(images, changed, specs),
  )  # fmt: skip
  asked = held.condition, held.target
  # The critic of the second domain is the first one.
  parts = tuple(
    grounds.Part(spec, critic, some, these, trained=learned)
    for spec, some, these, learned in zip(
      specs, pool, asked, trained, strict=True
    )
  )
  features, score = _translated(held, specs[0].image_shape)
  return grounds.Ground(parts, problem, features, score, _both, _each)


def _both(params: Sequence[types.Params]) -> types.Params:
  return dict(zip(('ab', 'ba'), params, strict=True))


def _each(params: types.Params) -> Sequence[types.Params]:
  return params['ab'], params['ba']

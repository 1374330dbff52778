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
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings as translation_settings
from coalesce_jax.translation import training

KINDS = ('latent', 'pix2pix', 'cyclegan')
_BATCH = 100
# Main score of each kind; lower is better.
SCORES = {'latent': 'frechet', 'pix2pix': 'l1', 'cyclegan': 'frechet'}


class Part(NamedTuple):
  """One network of a subject.

  Attributes:
    spec: of the large network.
    critic: network of its critic.
    inputs: pool of inputs, `[N, ...]`.
    asked: inputs of the samples that are scored.
    view: see `pruning.Subject`.
    trained: see `pruning.Subject`.
  """

  spec: generator_lib.Spec
  critic: types.Network
  inputs: Any
  asked: Any
  view: Callable[[Any, Any], Any] | None = None
  trained: Any | None = None


class Ground(NamedTuple):
  """What methods of pruning need to know of a subject.

  Attributes:
    parts: its networks, in the order of the critics of the problem.
    problem: ``(specs, steps) -> problem``.
    features: ``samples -> [N, F]``.
    score: ``samples of the first network -> scores by name``.
    joined: see `shrinking.Whole`.
    parted: see `shrinking.Whole`.
    images: what a generator of latents is trained on.
  """

  parts: tuple[Part, ...]
  problem: Callable[[Sequence[generator_lib.Spec], int], problems.Problem]
  features: Callable[[Any], np.ndarray]
  score: Callable[[np.ndarray], dict[str, float]]
  joined: Callable[[Sequence[types.Params]], types.Params] = lambda all: all[0]
  parted: Callable[[types.Params], Sequence[types.Params]] = lambda one: [one]
  images: Any = None

  @property
  def specs(self) -> list[generator_lib.Spec]:
    """The specs of the large networks."""
    return [part.spec for part in self.parts]

  def whole(
    self, params: types.Params, critics: Sequence[types.Params], steps: int
  ) -> shrinking.Whole:
    """Returns the large networks of one seed, to be made smaller.

    Args:
      params: parameters of the problem's generator.
      critics: those of the critics.
      steps: for which smaller networks train.
    """
    subjects = tuple(
      pruning.Subject(
        part.spec,
        own,
        part.critic,
        critic,
        part.inputs,
        part.view,
        part.trained,
      )
      for part, own, critic in zip(
        self.parts, self.parted(params), critics, strict=True
      )
    )

    def problem(specs: Sequence[generator_lib.Spec]) -> problems.Problem:
      return self.problem(specs, steps)

    return shrinking.Whole(
      subjects, tuple(critics), problem, self.features, self.joined,
      self.parted,
    )  # fmt: skip

  def sample(
    self,
    specs: Sequence[generator_lib.Spec],
    params: Sequence[types.Params],
  ) -> np.ndarray:
    """Returns the samples of the first network, which are scored."""
    network, asked = specs[0].build(), self.parts[0].asked
    apply = jax.jit(lambda p, x: network.apply(p, pixels.decode(x)))
    return np.concatenate([
      np.asarray(apply(params[0], asked[first : first + _BATCH]))
      for first in range(0, len(asked), _BATCH)
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


def _lasting(settings: Any, config: Any, steps: int, **changes: Any) -> Any:
  """Returns settings of a method with a number of steps."""
  how = schedule(steps, config.fast_compile)
  return dataclasses.replace(settings, schedule=how, **changes)


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
  makers = {'latent': _latent, 'pix2pix': _pix2pix, 'cyclegan': _cyclegan}
  return makers[subject.kind](config, subject)


def generator(
  config: Any, shape: tuple[int, ...], width: int, critic_width: int
) -> generator_lib.Spec:
  """Returns the spec of a generator of latents."""
  return generator_lib.Spec(
    'dcgan', config.latent_size, shape, generator_lib.freeze({'width': width}),
    'dcgan', generator_lib.freeze({'width': critic_width}),
  )  # fmt: skip


def _latent(config: Any, subject: Any) -> Ground:
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
    changed = _lasting(default, config, steps, game=game)
    return pretraining.problem(images, specs[0], changed)

  network = feature_registry.load(subject.data)
  features = functools.partial(_features, network)
  real = frechet.moments(features(test.images))
  draw = lambda n, seed: np.asarray(  # noqa: E731
    jax.random.normal(jax.random.key(seed), (n, config.latent_size))
  )

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    return {'frechet': far}

  part = Part(
    spec, spec.build_critic(), draw(config.pool, 1), draw(config.samples, 2)
  )
  return Ground((part,), problem, features, score, images=images)


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


def _translated(
  held: Any, shape: tuple[int, ...]
) -> tuple[Callable[[Any], np.ndarray], Callable[..., dict[str, float]]]:
  """Returns the features and the scores of translations of held-out images."""
  network = classifier_features.random(shape)
  features = functools.partial(_features, network)
  real = frechet.moments(features(held.target))

  def score(made: np.ndarray) -> dict[str, float]:
    far = frechet.frechet_squared(frechet.moments(features(made)), real)
    l1 = image_scores.evaluate(made, held.target)['l1']
    return {'l1': l1, 'frechet': far}

  return features, score


def _pix2pix(config: Any, subject: Any) -> Ground:
  held, images, pool, trained = _pairs(config, subject)
  settings = _networks(config, subject, translation_settings.Pix2pix())
  spec, critic = pix2pix_method.networks(images, settings)

  def problem(
    specs: Sequence[generator_lib.Spec], steps: int
  ) -> problems.Problem:
    changed = _lasting(settings, config, steps)
    return pix2pix_method.problem(images, changed, specs[0])

  part = Part(
    spec, critic, pool[0], held.condition, pair_sources.beside, trained[0]
  )
  features, score = _translated(held, spec.image_shape)
  return Ground((part,), problem, features, score)


def _cyclegan(config: Any, subject: Any) -> Ground:
  held, images, pool, trained = _pairs(config, subject)
  settings = _networks(config, subject, translation_settings.CycleGan())
  specs, critic = cyclegan_method.networks(images, settings)

  def problem(
    specs: Sequence[generator_lib.Spec], steps: int
  ) -> problems.Problem:
    changed = _lasting(settings, config, steps)
    return cyclegan_method.problem(images, changed, specs)

  asked = held.condition, held.target
  # The critic of the second domain is the first one.
  parts = tuple(
    Part(spec, critic, some, these, trained=learned)
    for spec, some, these, learned in zip(
      specs, pool, asked, trained, strict=True
    )
  )
  features, score = _translated(held, specs[0].image_shape)
  return Ground(parts, problem, features, score, _both, _each)


def _both(params: Sequence[types.Params]) -> types.Params:
  return dict(zip(('ab', 'ba'), params, strict=True))


def _each(params: types.Params) -> Sequence[types.Params]:
  return params['ab'], params['ba']


def _features(network: features_lib.Features, images: Any) -> np.ndarray:
  return features_lib.extract(network, images)[0]

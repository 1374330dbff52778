r"""Makes the generator of an edge node smaller, with few local samples.

The smaller generator is trained by

.. math:: \min_\nu (1 - a) W_1(\hat\mu_0, \nu) + a \, W_1(\nu, \mu)

where :math:`\hat\mu_0` are the local samples and :math:`\mu` is the large
generator, whose samples are not few. That is the objective of ternarization.

Shapes: N local samples.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from coalesce_jax.compress import critics
from coalesce_jax.compress import pruning
from coalesce_jax.compress import selection
from coalesce_jax.compress import shrinking
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.gan import local_samples
from coalesce_jax.gan import sources
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import features as features_lib
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.training import loop

# Latents of which neighbours are found.
POOL = 2048
# Settings of fine-tuning that this training does not read.
_UNUSED = (
  'warmup', 'mixed', 'fixed_samples', 'warm_critics', 'scale_weights',
  'ternary', 'radius',
)  # fmt: skip


def compress(
  key: types.PRNGKey,
  generator: generator_lib.Generator,
  images: Any,
  share: float,
  *,
  method: str = 'density',
  config: fine_tuning.Config | None = None,
  how: shrinking.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, dict[str, loop.History]]:
  """Returns a generator that takes a share of the multiply-accumulates.

  Args:
    key: one key; consumed.
    generator: the large generator.
    images: local samples, `[N, ...]`, uint8 or in [-1, 1].
    share: of all multiply-accumulates, in (0, 1].
    method: one of `shrinking.METHODS`.
    config: settings of the training; None is `default` of the generator's spec.
    how: settings of the choice of channels; None is `shrinking.Config()`.
    hooks: see `shrinking.shrink`.

  Returns:
    The generator with its critic of the local samples, and the metrics of each
    stage by its name.

  Raises:
    ValueError: the generator is ternary or a mixture, or has no critic that the
      method needs, channels of its network cannot be removed, local samples
      are unusable, the share is out of range, or a setting is not read here.
  """
  spec = checks.with_critic(generator.spec)
  usual = default(spec)
  config = usual if config is None else config
  for name in _UNUSED:
    if getattr(config, name) != getattr(usual, name):
      raise ValueError(f'{name} is not read when a generator is made smaller')
  if config.schedule.select_every:
    raise ValueError('select_every: this training has no score to select by')
  check(generator, method, share)
  keys = jax.random.split(keys_lib.typed(key), 3)
  local = local_samples.check(images, spec.image_shape, ())
  critic = generator.critic
  if critic is None:
    critic = spec.build_critic().init(keys[0])
  z = jax.random.normal(keys[1], (POOL, spec.latent_size))

  def problem(specs: Sequence[generator_lib.Spec]) -> problems.Problem:
    return recovery_problem(generator, local, specs[0], config)

  whole = shrinking.Whole(
    (
      pruning.Subject(
        spec, generator.params, spec.build_critic(), critic, np.asarray(z)
      ),
    ),
    (critic, critic),
    problem,
    _features(tuple(spec.image_shape)),
  )
  made = shrinking.shrink(
    keys[2], whole, share, method=method, config=how, hooks=hooks
  )
  small = made.specs[0]
  return generator_lib.Generator(
    small.build(), made.params[0], small, made.critics[0]
  ), made.histories


def check(
  generator: generator_lib.Generator, method: str, share: float
) -> None:
  """Checks a generator without training anything.

  Args:
    generator: see `compress`.
    method: see `compress`.
    share: see `compress`.

  Raises:
    ValueError: see `compress`.
  """
  if method not in shrinking.METHODS:
    raise ValueError(
      f'method {method!r} is not one of {tuple(shrinking.METHODS)}'
    )
  if generator.spec.encodings:
    raise ValueError(
      'this generator is ternary: make the float generator smaller, and then '
      'ternarize it'
    )
  if generator.spec.network == registry.MIXTURE:
    raise ValueError(
      'a mixture of nodes is not made smaller: take the barycenter of the nodes'
    )
  selection.uniform([generator.spec], share)
  how = shrinking.METHODS[method]
  asked = how.local or how.cooperative
  if asked and generator.critic is None:
    raise ValueError(
      f'method {method!r} asks the critic, and this generator has none: take '
      "method 'magnitude', or a bundle that was written with its critic"
    )
  if asked:
    critics.sizes(generator.spec.build_critic())


def default(spec: generator_lib.Spec) -> fine_tuning.Config:
  """Returns the settings of the training: those of ternarization, in float.

  Args:
    spec: of the large generator.
  """
  config = fine_tuning.default(spec, adaptation.TERNARIZE)
  return dataclasses.replace(config, ternary=None)


def recovery_problem(
  generator: generator_lib.Generator,
  images: Any,
  spec: generator_lib.Spec,
  config: fine_tuning.Config,
) -> problems.Problem:
  """Returns the game of a smaller generator before it is trained.

  Args:
    generator: the large generator.
    images: local samples that were checked, `[N, ...]`.
    spec: of the smaller generator.
    config: settings; `anchor` is a.
  """
  network, critic = spec.build(), spec.build_critic()

  def setup(key, hyper, images, large):
    key_generator, key_critic = jax.random.split(key)
    local, held = local_samples.split_held_out(images, config.held_out)
    samples = sources.generators(
      generator.network, jax.tree.map(lambda leaf: leaf[None], large),
      spec.latent_size,
    )  # fmt: skip
    anchor, start = hyper['anchor'], critic.init(key_critic)
    return runner.Setup(
      network.init(key_generator),
      (
        runner.Target(local, held, 1.0 - anchor, start),
        runner.Target(samples, samples, anchor, start),
      ),
      generator_rate=hyper['rate'] * hyper['generator_rate'],
      critic_rate=hyper['rate'],
    )

  hyper = fine_tuning.hyperparameters(config)
  return problems.Problem(
    setup,
    (images, generator.params),
    runner.method(config.game, config.schedule, spec, decay=config.decay),
    hyper={k: hyper[k] for k in ('anchor', 'rate', 'generator_rate')},
  )


def _features(shape: tuple[int, ...]) -> Any:
  """Returns random features of images, and points as they are."""
  if len(shape) != 3:
    return lambda samples: np.asarray(samples).reshape(len(samples), -1)
  network = classifier_features.random(shape)
  return lambda samples: features_lib.extract(network, samples)[0]

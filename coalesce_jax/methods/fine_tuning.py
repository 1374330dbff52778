"""Fine-tunes a generator and its critics to few local samples.

Adaptation and its baselines differ only in the targets: local samples alone,
local samples and a metamodel, or the mixture of local samples and samples of
other generators.

Shapes: J critics of the local samples, N local samples, S replicas.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import jax

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import local_samples
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import local_targets
from coalesce_jax.methods import runner
from coalesce_jax.methods import settings
from coalesce_jax.metrics import energy
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib

Config = settings.FineTuning


def default(spec: generator_lib.Spec, config: Config | None = None) -> Config:
  """Returns the default settings.

  Args:
    spec: spec of the generator. Only images are augmented.
    config: settings for images; None is `Config()`.
  """
  config = Config() if config is None else config
  if len(spec.image_shape) == 3:
    return config
  return dataclasses.replace(
    config, game=dataclasses.replace(config.game, augment='')
  )


def fit(
  key: types.PRNGKey,
  start: generator_lib.Generator,
  images: Any,
  *,
  config: Config,
  hooks: loop.HooksFor | None = None,
  part: str = 'adapted',
  targets: local_targets.Targets = local_targets.alone,
  args: tuple[Any, ...] = (),
  share: Any = 0.0,
  judges: Sequence[generator_lib.Generator] = (),
  reparam: base.Reparam | None = None,
  critic_reparam: base.Reparam | None = None,
  terms: tuple[terms_lib.Term, ...] = (),
  term_data: Callable[[types.Params], Mapping[str, Any]] = lambda params: {},
) -> tuple[generator_lib.Generator, loop.History]:
  """Fine-tunes a generator and critics to local samples and other targets.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in all generators.
    start: generator to start from, with its critic if it has one.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings. `ternary` is not read here.
    hooks: maps the name of a stage to its effects.
    part: name of the stage for `hooks`.
    targets: function that makes the targets of one replica.
    args: further arguments of `targets`, leaves `[S, ...]` for `[S]` keys.
    share: mixing probability of other generators, a number or `[S]`.
    judges: J generators whose critics form the critic ensemble of the local
      samples, with equal weights. Each critic starts from its own parameters.
      None is the critic of `start` alone.
    reparam: reparametrization of the generator's parameters.
    critic_reparam: reparametrization of the parameters of each critic.
    terms: additional losses of the generator.
    term_data: ``parameters of start -> data of the terms``, of one replica.

  Returns:
    The generator with the first critic of the local samples, and the history.
    Critics 0 to J - 1 are those of the local samples.

  Raises:
    ValueError: there are too few samples, their shape differs, their values are
      ambiguous or not finite, or one of `judges` has no critic like that of
      `start`.
  """
  key = keys_lib.typed(key)
  spec = checks.with_critic(start.spec)
  images = local_samples.check(images, spec.image_shape, key.shape)
  network, critic = start.network, spec.build_critic()
  check_judges(judges, spec, config)
  starts = [g.critic for g in judges or (start,)]
  count = len(starts)
  warm = config.warm_critics and starts[0] is not None
  starts.append(starts[0] if start.critic is None else start.critic)

  def setup(key, hyper, params, starts, images, *args):
    key_critic, _, key_samples = jax.random.split(key, 3)
    local, held = local_samples.split_held_out(images, config.held_out)
    if not warm:
      # The critics of the local samples start differently.
      keys = [jax.random.fold_in(key_critic, j) for j in range(1, count)]
      starts = [critic.init(k) for k in (key_critic, *keys, key_critic)]
    given = local_targets.Local(
      local, held, starts[:-1], starts[-1], key_samples
    )
    chosen = list(targets(given, hyper, *args))
    if config.scale_weights:
      chosen = [t._replace(weight=t.weight * len(chosen)) for t in chosen]
    return runner.Setup(
      generator=params,
      targets=chosen,
      generator_rate=hyper['rate'] * hyper['generator_rate'],
      critic_rate=hyper['rate'],
      warmup=loop.warmup_of(
        config.warmup, settings.WARMUP, config.schedule.steps
      ),
      terms=term_data(params),
    )

  result = runner.run(
    key,
    setup,
    (start.params, starts if warm else (), images, *args),
    runner.method(
      dataclasses.replace(config.game, segment=count == 1),
      config.schedule,
      spec,
      decay=config.decay,
      generator=network,
      reparam=reparam or base.identity(),
      critic_reparam=critic_reparam or base.identity(),
      terms=terms,
    ),
    hyper=hyperparameters(config, share),
    hooks=loop.hooks_for(hooks, part),
    score=score(network, spec.latent_size, config),
  )
  if reparam is not None:
    encodings = reparam.describe(result.params)
    spec = dataclasses.replace(spec, encodings=encodings)
  generator = generator_lib.Generator(
    network, result.params, spec, result.critics[0]
  )
  return generator, result.history


def check_leaves(spec: generator_lib.Spec, config: Config) -> None:
  """Checks the patterns of the settings against the leaves, without training.

  Args:
    spec: spec of the generator.
    config: settings.

  Raises:
    ValueError: a pattern matches no leaf.
  """
  spec = checks.with_critic(spec)
  key = jax.random.key(0)
  if config.game.freeze:
    critic = jax.eval_shape(spec.build_critic().init, key)
    trees.label(critic, [(p, 'frozen') for p in config.game.freeze], 'trained')
  if config.ternary is not None:
    generator = jax.eval_shape(spec.build().init, key)
    ternary_lib.selected(generator, config.ternary.leaves)


def hyperparameters(config: Config, share: Any = 0.0) -> dict[str, Any]:
  """Returns the hyperparameters that may differ between replicas, by name.

  Args:
    config: settings.
    share: mixing probability of other generators, a number or `[S]`.
  """
  names = ('anchor', 'rate', 'generator_rate', 'radius')
  return {name: getattr(config, name) for name in names} | {'share': share}


def check_judges(
  judges: Sequence[generator_lib.Generator],
  spec: generator_lib.Spec,
  config: Config,
  names: Sequence[str] | None = None,
  start: str = 'the generator',
) -> None:
  """Checks that critics can form a critic ensemble.

  Args:
    judges: generators whose critics form the ensemble.
    spec: spec of the generator that is fine-tuned.
    config: settings.
    names: names of `judges` for the message.
    start: name of the generator for the message.

  Raises:
    ValueError: sample shapes or critics differ, or the objective is 'ball'.
  """
  for j, generator in enumerate(judges):
    name = names[j] if names else f'judges[{j}]'
    shape = tuple(generator.spec.image_shape)
    if shape != tuple(spec.image_shape):
      raise ValueError(
        f'{name}: its critic takes {checks.samples_of(shape)}, {start} makes '
        f'{checks.samples_of(tuple(spec.image_shape))}'
      )
    if generator.critic is None:
      raise ValueError(
        f'{name}: no critic inside, which a critic ensemble needs; name a '
        'bundle that was written with its critic'
      )
    critic = generator.spec.critic, dict(generator.spec.critic_options)
    wanted = spec.critic, dict(spec.critic_options)
    if critic != wanted:
      raise ValueError(
        f'{name}: no critic like that of {start}, but {critic[0]!r} '
        f'{critic[1]} instead of {wanted[0]!r} {wanted[1]}'
      )
  if len(judges) > 1 and config.game.needs_radii:
    name = config.game.objective
    raise ValueError(f'objective {name!r} takes one critic of local samples')


def score(
  network: types.Network, latent_size: int, config: Config
) -> Callable[..., jax.Array] | None:
  """Returns the score of early stopping, or None without early stopping.

  It is the energy distance to held-out local samples.

  Args:
    network: network of the generator.
    latent_size: Z.
    config: settings.

  Raises:
    ValueError: no samples are held out.
  """
  if not config.schedule.select_every:
    return None
  if not config.held_out:
    raise ValueError('early stopping needs held-out samples: raise held_out')
  z = jax.random.normal(jax.random.key(0), (512, latent_size))

  def distance(
    params: Any, start: Any, critics: Any, images: Any, *args: Any
  ) -> jax.Array:
    del start, critics, args
    n = images.shape[0]
    real = images[n - local_samples.held_out(n, config.held_out) :]
    samples = network.apply(params, z)
    return energy.energy_distance(pixels.decode(real), samples)

  return distance

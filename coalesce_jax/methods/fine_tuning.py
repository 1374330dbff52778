"""Fine-tuning: a generator and its critics learn from few local samples.

Adaptation and its baselines are this with other targets: the local samples
alone, beside an anchor, or pooled with the samples of other generators.

Shapes: J critics of the local samples, N local samples, S replicas.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import local_samples
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import local_targets
from coalesce_jax.methods import runner
from coalesce_jax.metrics import energy
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary_config

# Steps of the critics alone, where none are asked for.
WARMUP = 50


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of adaptation.

  Attributes:
    game: the game's settings.
    schedule: the loop's.
    decay: whether the learning rates fall linearly to zero over the steps,
      instead of over `game.decay_steps`.
    anchor: a, in [0, 1), or `[S]` of them, one a member.
    mixed: one critic on the mixture of local samples and anchor, instead of one
      critic each.
    warmup: steps at the start during which only the critics learn; None is 50,
      at most a fifth of the steps.
    warm_critics: start from the generator's critic where it has one.
    held_out: fraction of the local samples kept for distance estimates and
      early stopping.
    rate: multiplies all learning rates; a number or `[S]`.
    generator_rate: multiplies the generator's once more; a number or `[S]`.
      Three to six is about twice as fast from trained nodes, and may throw a
      new generator far off (docs/few_shot_attempts.md).
    radius: eta of the 'ball' objective, the distance allowed from the anchor;
      a number or `[S]`.
    ternary: ternarize the generator while it adapts, or None.
    fixed_samples: as in `barycenters.Config`, for the anchor.
    scale_weights: multiply the weights, which sum to 1, by their number.
  """

  game: game_lib.Config = dataclasses.field(
    default_factory=lambda: game_lib.Config(
      objective='w1_squared', augment='translation'
    )
  )
  schedule: loop.Schedule = loop.Schedule(steps=500, chunk=25)
  decay: bool = False
  anchor: Any = 0.5
  mixed: bool = False
  warmup: int | None = None
  warm_critics: bool = True
  held_out: float = 0.1
  rate: Any = 1.0
  generator_rate: Any = 1.0
  radius: Any = 0.0
  ternary: ternary_config.Ternary | None = None
  fixed_samples: int = 0
  scale_weights: bool = False

  def __post_init__(self):
    anchor = np.asarray(self.anchor)
    if not np.all((anchor >= 0.0) & (anchor < 1.0)):
      raise ValueError(f'anchor {self.anchor} is not in [0, 1)')
    if not 0.0 <= self.held_out < 1.0:
      raise ValueError(f'held_out {self.held_out} is not in [0, 1)')
    if self.fixed_samples < 0:
      raise ValueError(f'fixed_samples {self.fixed_samples} is negative')
    if self.mixed and self.game.objective == 'ball':
      raise ValueError("'ball' holds two critics: mixed has one")
    if self.game.objective == 'ball' and not np.all(
      np.asarray(self.radius) > 0
    ):
      raise ValueError("objective 'ball' needs a positive radius")


def default(spec: generator_lib.Spec, config: Config | None = None) -> Config:
  """Returns the settings where none are given.

  Args:
    spec: of the generator; samples that are no images are not augmented.
    config: the settings for images; None is `Config()`.
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
    start: generator, and critic if it has one, to start from.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings. Its field `ternary` is the methods'.
    hooks: effects; called with `part`.
    part: name of the stage for `hooks`.
    targets: what the generator is drawn to, of one replica.
    args: further arguments of `targets`, leaves `[S, ...]` for `[S]` keys.
    share: probability of other generators in a pool, a number or `[S]`.
    judges: J generators whose critics learn the distance to the local samples,
      each from where it is, and weigh the same; none is the start's alone.
    reparam: of the generator's parameters.
    critic_reparam: of each critic's.
    terms: additional losses of the generator.
    term_data: ``start's parameters -> data of the terms``, of one replica.

  Returns:
    The generator with the first critic of the local samples, and the history;
    critics 0 to J - 1 are those of the local samples.

  Raises:
    ValueError: too few samples or of another shape; a generator without a
      critic, or with another one than the start, among `judges`.
  """
  spec = checks.with_critic(start.spec)
  images = local_samples.check(images, spec.image_shape, key.shape)
  network, critic = start.network, spec.build_critic()
  check_judges(judges, spec, config)
  known = [g.critic for g in judges or (start,)]
  count = len(known)
  warm = config.warm_critics and known[0] is not None
  known.append(known[0] if start.critic is None else start.critic)

  def setup(key, hyper, params, known, images, *args):
    key_critic, _, key_samples = jax.random.split(key, 3)
    local, held = local_samples.split_held_out(images, config.held_out)
    if not warm:
      # Those of the local samples differ.
      keys = [jax.random.fold_in(key_critic, j) for j in range(1, count)]
      known = [critic.init(k) for k in (key_critic, *keys, key_critic)]
    given = local_targets.Local(local, held, known[:-1], known[-1], key_samples)
    chosen = list(targets(given, hyper, *args))
    if config.scale_weights:
      chosen = [t._replace(weight=t.weight * len(chosen)) for t in chosen]
    return runner.Setup(
      generator=params,
      targets=chosen,
      generator_rate=hyper['rate'] * hyper['generator_rate'],
      critic_rate=hyper['rate'],
      warmup=loop.warmup_of(config.warmup, WARMUP, config.schedule.steps),
      terms=term_data(params),
    )

  result = runner.run(
    key,
    setup,
    (start.params, known if warm else (), images, *args),
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
    score=_score(network, spec.latent_size, config),
  )
  if reparam is not None:
    encodings = reparam.describe(result.params)
    spec = dataclasses.replace(spec, encodings=encodings)
  made = generator_lib.Generator(
    network, result.params, spec, result.critics[0]
  )
  return made, result.history


def hyperparameters(config: Config, share: Any = 0.0) -> dict[str, Any]:
  """Returns the numbers that replicas may have each for itself."""
  names = ('anchor', 'rate', 'generator_rate', 'radius')
  return {name: getattr(config, name) for name in names} | {'share': share}


def check_judges(
  judges: Sequence[generator_lib.Generator],
  spec: generator_lib.Spec,
  config: Config,
  names: Sequence[str] | None = None,
) -> None:
  """Whether the critics of these can stand beside that of the start.

  Args:
    judges: as in `fit`.
    spec: of the start.
    config: settings.
    names: of the judges, for the message.

  Raises:
    ValueError: they can't.
  """
  for j, judge in enumerate(judges):
    name = names[j] if names else f'judge {j}'
    if tuple(judge.spec.image_shape) != tuple(spec.image_shape):
      raise ValueError(
        f'{name}: its critic is of samples {tuple(judge.spec.image_shape)}, '
        f'the start makes {tuple(spec.image_shape)}'
      )
    found = (judge.spec.critic, judge.spec.critic_options)
    if judge.critic is None or found != (spec.critic, spec.critic_options):
      raise ValueError(
        f'{name}: no critic like that of the start, {spec.critic!r}'
      )
  if len(judges) > 1 and config.game.objective == 'ball':
    raise ValueError("'ball' holds one critic near the local samples, not more")


def _score(network, latent_size, config):
  """Energy distance between the model and held-out local samples."""
  if not config.schedule.select_every:
    return None
  if not config.held_out:
    raise ValueError('early stopping needs held-out samples: raise held_out')
  z = jax.random.normal(jax.random.key(0), (512, latent_size))

  def score(
    params: Any, start: Any, known: Any, images: Any, *args: Any
  ) -> Any:
    del start, known, args
    n = images.shape[0]
    real = images[n - local_samples.held_out(n, config.held_out) :]
    made = network.apply(params, z)
    return energy.energy_distance(pixels.decode(real), made)

  return score

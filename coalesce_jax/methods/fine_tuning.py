"""The game that adaptation and its baselines share: local samples, an anchor.

Shapes: N local samples, S seeds.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import partition
from coalesce_jax.data import pixels
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import local_samples
from coalesce_jax.gan import sources
from coalesce_jax.methods import runner
from coalesce_jax.metrics import energy
from coalesce_jax.models import checks
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib
from coalesce_jax.transforms import ternary_config


class Numbers(NamedTuple):
  """Of `Config`, and the share of a pool: `[]` of one member, `[S]` of all."""

  anchor: jax.Array
  rate: jax.Array
  generator_rate: jax.Array
  radius: jax.Array
  share: jax.Array


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of adaptation.

  Attributes:
    game: the game's settings.
    schedule: the driver's.
    anchor: a, in [0, 1), or `[S]` of them, one a member.
    mixed: one critic on the mixture of local samples and anchor, instead of one
      critic each.
    warmup: steps at the start during which only the critics learn.
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
    default_factory=lambda: game_lib.Config(objective='w1_squared')
  )
  schedule: loop.Schedule = loop.Schedule(steps=1000)
  anchor: Any = 0.5
  mixed: bool = False
  warmup: int = 50
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


def fit(
  key: types.PRNGKey,
  start: generator.Generator,
  images: Any,
  *,
  config: Config,
  hooks: loop.HooksFor | None = None,
  part: str = 'adapted',
  anchors: tuple[generator.Generator, ...] = (),
  pool: tuple[generator.Generator, ...] = (),
  share: Any = None,
  judges: tuple[generator.Generator, ...] = (),
) -> tuple[generator.Generator, loop.History]:
  """Plays the local samples, with or without an anchor, from a start.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in all generators.
    start: generator, and critic if it has one, to start from.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings.
    hooks: effects; called with `part`.
    part: name for `hooks`.
    anchors: none, or one generator with a critic of its own.
    pool: generators mixed with the local samples into one source.
    share: probability of all of the pool together, a number or `[S]`; None is
      that each of them and the samples are equally likely.
    judges: J generators whose critics learn the distance to the local samples,
      each from where it is, and weigh the same; none is the start's alone.

  Returns:
    The generator with the first critic of the local samples, and the history;
    critics 0 to J - 1 are those of the local samples, the last is the anchor's.

  Raises:
    ValueError: too few samples or of another shape, a ternary mixture, a judge
      without a critic or with another one than the start.
  """
  batched = bool(key.ndim)
  spec = checks.with_critic(start.spec)
  images = check_images(images, spec, batched)
  if config.ternary is not None and spec.network == registry.MIXTURE:
    raise ValueError('a mixture of nodes cannot be ternarized')
  network, critic = start.network, spec.build_critic()
  built = ternary_config.build(config.ternary, network)
  played = base.attached(network, built.generator)
  anchored, pooled = bool(anchors), bool(pool)
  check_judges(judges, spec, config)
  begun = [g.critic for g in judges or (start,)]
  warm = config.warm_critics and begun[0] is not None
  local_count = len(begun)
  settings = dataclasses.replace(
    config.game, phases=built.phases, segment=local_count == 1
  )
  count = local_count + anchored
  if anchored:
    begun.append(begun[0] if start.critic is None else start.critic)
  share = len(pool) / (len(pool) + 1.0) if share is None else share

  def setup(key, params, critics, anchor_params, pool_params, images, numbers):
    each = jnp.full(local_count, (1.0 - numbers.anchor) / local_count)
    weights = jnp.append(each, numbers.anchor)[:count]
    if config.scale_weights:
      weights = weights * count
    key_critic, key_latent, key_samples = jax.random.split(key, 3)
    local, held = local_samples.split_held_out(images, config.held_out)
    if pooled:
      others = sources.generators(network, pool_params, spec.latent_size)
      each = jnp.full(others.count, numbers.share / others.count)
      local = sources.pooled(
        (local, others), jnp.concatenate([1.0 - numbers.share[None], each])
      )
    parts = (local,) * local_count
    held_parts = (held,) * local_count
    if anchored:
      law = sources.generators(network, anchor_params, spec.latent_size)
      if config.fixed_samples:
        (law,) = sources.fixed((law,), key_samples, config.fixed_samples)
      parts, held_parts = (*parts, law), (*held_parts, law)
    first = list(critics)
    if not warm:
      # Those of the local samples differ.
      more = range(1, local_count)
      keys = [key_critic, *(jax.random.fold_in(key_critic, j) for j in more)]
      keys += [key_critic] * anchored
      first = [critic.init(k) for k in keys]
    if built.critic is not None:
      first = [built.critic.init(key_latent, f) for f in first]
    inputs = game_lib.inputs(
      parts,
      held_out=held_parts,
      weights=weights,
      radii=jnp.append(jnp.zeros(local_count), numbers.radius)[:count],
      generator_rate=numbers.rate * numbers.generator_rate,
      critic_rate=numbers.rate,
      warmup=config.warmup,
      extra=params if built.term is not None else (),
    )
    if built.generator is not None:
      params = built.generator.init(key_latent, params)
    return runner.Setup(params, trees.stack(first), inputs)

  anchor_params = ensembles.stacked(list(anchors), batched) if anchored else ()
  pool_params = ensembles.stacked(list(pool), batched) if pooled else ()
  result = runner.play(
    key,
    setup,
    (
      start.params,
      begun if warm else (),
      anchor_params,
      pool_params,
      images,
      by_member(config, key.shape, share),
    ),
    config=settings,
    schedule=config.schedule,
    spec=spec,
    generator=played,
    critic=base.attached(critic, built.critic),
    term=built.term,
    hooks=_observing(loop.hooks_for(hooks, part), built.generator, batched),
    score=_score(played, spec.latent_size, images, batched, config),
  )
  critics = ensembles.first_critic(result.state.critics, batched)
  critics = _deployed(built.critic, batched)(critics)
  params = _deployed(built.generator, batched)(result.generator)
  if config.ternary is not None:
    described = ternary_lib.describe(
      trees.member(params, 0) if batched else params,
      scheme=config.ternary.scheme,
      granularity=config.ternary.granularity,
      leaves=config.ternary.leaves,
    )
    spec = dataclasses.replace(spec, encodings={'ternary': described})
  return (
    generator.Generator(network, params, spec, critics),
    result.history,
  )


def by_member(
  config: Config, members: tuple[int, ...], share: Any = 0.0
) -> Numbers:
  """The numbers that members may have each for itself.

  Raises:
    ValueError: numbers of another number of members.
  """
  found = {}
  for name in Numbers._fields:
    value = share if name == 'share' else getattr(config, name)
    value = np.asarray(value, np.float32)
    if value.shape not in ((), members):
      raise ValueError(
        f'{name} has shape {value.shape}, the members have {members}'
      )
    found[name] = jnp.broadcast_to(value, members)
  return Numbers(**found)


def check_judges(
  judges: Sequence[generator.Generator],
  spec: generator.Spec,
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


def check_images(images: Any, spec: generator.Spec, batched: bool) -> Any:
  """Local samples of the right rank, shape and number.

  Raises:
    ValueError: otherwise.
  """
  shape = tuple(images.shape)
  lead = 1 + batched
  if len(shape) < lead or shape[lead:] != tuple(spec.image_shape):
    raise ValueError(
      f'local samples have shape {shape[lead:]}, the generator makes '
      f'{tuple(spec.image_shape)}'
    )
  if shape[lead - 1] < partition.MIN_LOCAL:
    raise ValueError(
      f'{shape[lead - 1]} local samples, at least {partition.MIN_LOCAL} are '
      'needed'
    )
  return jnp.asarray(images)


def _deployed(
  transform: base.Transform | None, batched: bool
) -> Callable[[Any], types.Params]:
  """From latent parameters to those of the network."""
  if transform is None:
    return lambda latent: latent
  return jax.jit(jax.vmap(transform.apply) if batched else transform.apply)


def _observing(
  hooks: loop.Hooks | None,
  transform: base.Transform | None,
  batched: bool,
) -> loop.Hooks | None:
  """Observers see the parameters of the network, and the latent ones."""
  if hooks is None or transform is None:
    return hooks
  deploy, seen = _deployed(transform, batched), hooks

  def observe(step: int, latent: Any) -> None:
    seen.observe_latent(step, latent)
    seen.observe(step, deploy(latent))

  return hooks._replace(observe=observe)


def _score(played, latent_size, images, batched, config):
  """Energy distance between averaged generator and held-out local samples."""
  if not config.schedule.select_every:
    return None
  n = images.shape[1] if batched else images.shape[0]
  held = local_samples.held_out(n, config.held_out)
  if not held:
    raise ValueError('early stopping needs held-out samples: raise held_out')
  rows = slice(n - held, n)
  real = images[:, rows] if batched else images[rows]
  z = jax.random.normal(jax.random.key(0), (512, latent_size))

  def one(params: Any, real: jax.Array) -> jax.Array:
    return energy.energy_distance(pixels.decode(real), played.apply(params, z))

  compiled = jax.jit(jax.vmap(one) if batched else one)
  return lambda params: compiled(params, real)

r"""Fast adaptation of a generator to few local samples, in float or ternary.

.. math:: \min_\nu (1 - a) W_1(\hat\mu_0, \nu)^p + a \, W_1(\nu, \mu)^p

with local samples :math:`\hat\mu_0` and the metamodel's law :math:`\mu`. The
anchor weight `a` in [0, 1) is, for `p = 2`, the position on the segment
between them: `W_1(local, nu) = a W_1(local, metamodel)`. With `a = 0` this is
plain fine-tuning, and the anchor critic is left out.

Of all measures on that segment the mixture :math:`(1 - a) \hat\mu_0 + a \mu`
alone has no samples between those of its ends, which of images look like
neither: `Config.mixed` asks for it, :math:`\min_\nu W_1(\nu, (1 - a) \hat\mu_0
+ a \mu)`, a game of one critic.

Shapes: N local samples, S seeds, B batch, Z latent.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax import driver
from coalesce_jax import game as game_lib
from coalesce_jax import generators
from coalesce_jax import sources
from coalesce_jax import stage
from coalesce_jax import ternarization
from coalesce_jax import trees
from coalesce_jax import types
from coalesce_jax.data import nodes
from coalesce_jax.metrics import energy
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary as ternary_lib


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
    radius: eta of the 'ball' objective, the distance allowed from the anchor;
      a number or `[S]`.
    ternary: ternarize the generator while it adapts, or None.
    fixed_samples: as in `barycenter.Config`, for the anchor.
    scale_weights: multiply the weights, which sum to 1, by their number.
  """

  game: game_lib.Config = dataclasses.field(
    default_factory=lambda: game_lib.Config(objective='w1_squared')
  )
  schedule: driver.Schedule = driver.Schedule(steps=1000)
  anchor: Any = 0.5
  mixed: bool = False
  warmup: int = 50
  warm_critics: bool = True
  held_out: float = 0.1
  rate: Any = 1.0
  radius: Any = 0.0
  ternary: ternarization.Ternary | None = None
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


TERNARIZE = Config(
  game=game_lib.Config(objective='w1'),
  schedule=driver.Schedule(steps=2000),
  anchor=0.75,
  ternary=ternarization.Ternary(),
)


def paper_code(steps: int = 1000, samples: int = 10000) -> Config:
  """The habits of the authors' published code, for comparison only.

  See `barycenters.paper_code`; both critics weigh the same, the anchor is a
  fixed set of samples.

  Args:
    steps: generator steps.
    samples: of the anchor, drawn once.
  """
  return Config(
    game=game_lib.Config(
      gp_norm='channel', reuse_batch=True, beta1=0.5, beta2=0.9
    ),
    schedule=driver.Schedule(steps=steps, chunk=driver.chunk_of(steps)),
    anchor=0.5,
    warmup=0,
    warm_critics=False,
    fixed_samples=samples,
    scale_weights=True,
  )


def adapt(
  key: types.PRNGKey,
  meta: generators.Generator,
  images: Any,
  *,
  config: Config | None = None,
  hooks: stage.HooksFor | None = None,
  part: str = 'adapted',
) -> tuple[generators.Generator, stage.History]:
  """Adapts `meta` to local samples, held near its own law.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in `meta`.
    meta: the start and the anchor.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    config: settings.
    hooks: effects; called with `part`.
    part: name of this stage for `hooks`.

  Returns:
    The adapted generator with the critic of the local samples, and the
    history; critic 0 is that of the local samples, critic 1 the anchor's.

  Raises:
    ValueError: too few samples or of another shape.
  """
  config = Config() if config is None else config
  held = np.any(np.asarray(config.anchor)) or config.game.objective == 'ball'
  anchors = (meta,) if held else ()
  if not config.mixed:
    return fit(
      key, meta, images, config=config, hooks=hooks, part=part, anchors=anchors
    )
  game = dataclasses.replace(config.game, objective='w1')
  config = dataclasses.replace(config, game=game)
  return fit(
    key, meta, images, config=config, hooks=hooks, part=part, pool=anchors,
    share=config.anchor,
  )  # fmt: skip


def ternarize(
  key: types.PRNGKey,
  generator: generators.Generator,
  images: Any,
  *,
  config: Config | None = None,
  hooks: stage.HooksFor | None = None,
  part: str = 'ternary',
) -> tuple[generators.Generator, stage.History]:
  """Adapts a ternary copy of `generator`, anchored at the float one.

  Args and returns are those of `adapt`; the default settings are `TERNARIZE`.
  The result's ternary leaves are named in its spec.
  """
  config = TERNARIZE if config is None else config
  if config.ternary is None:
    config = dataclasses.replace(config, ternary=ternarization.Ternary())
  return adapt(key, generator, images, config=config, hooks=hooks, part=part)


def fit(
  key: types.PRNGKey,
  start: generators.Generator,
  images: Any,
  *,
  config: Config,
  hooks: stage.HooksFor | None = None,
  part: str = 'adapted',
  anchors: tuple[generators.Generator, ...] = (),
  pool: tuple[generators.Generator, ...] = (),
  share: Any = None,
) -> tuple[generators.Generator, stage.History]:
  """The game that adaptation and its baselines share.

  Args:
    key: as in `adapt`.
    start: generator, and critic if it has one, to start from.
    images: as in `adapt`.
    config: settings.
    hooks: effects; called with `part`.
    part: name for `hooks`.
    anchors: none, or one generator with a critic of its own.
    pool: generators mixed with the local samples into one source.
    share: probability of all of the pool together, a number or `[S]`; None is
      that each of them and the samples are equally likely.

  Returns:
    As `adapt`.
  """
  batched = bool(key.ndim)
  spec = stage.with_critic(start.spec)
  images = check_images(images, spec, batched)
  network, critic = start.network, spec.build_critic()
  built = ternarization.build(config.ternary, network)
  played = base.attached(network, built.generator)
  settings = dataclasses.replace(config.game, phases=built.phases)
  anchored, pooled = bool(anchors), bool(pool)
  warm = config.warm_critics and start.critic is not None
  count = 1 + anchored
  share = len(pool) / (len(pool) + 1.0) if share is None else share

  def setup(key, params, critics, anchor_params, pool_params, images, numbers):
    anchor, rate, radius, share = numbers
    weights = jnp.array([1.0 - anchor, anchor])[:count]
    if config.scale_weights:
      weights = weights * count
    key_critic, key_latent, key_samples = jax.random.split(key, 3)
    local, held = stage.split_held_out(images, config.held_out)
    if pooled:
      others = sources.generators(network, pool_params, spec.latent_size)
      each = jnp.full(others.count, share / others.count)
      local = sources.pooled(
        (local, others), jnp.concatenate([1.0 - share[None], each])
      )
    parts: tuple[sources.Source, ...] = (local,)
    held_parts: tuple[sources.Source, ...] = (held,)
    if anchored:
      law = sources.generators(network, anchor_params, spec.latent_size)
      if config.fixed_samples:
        (law,) = sources.fixed((law,), key_samples, config.fixed_samples)
      parts, held_parts = (local, law), (held, law)
    first = critics if warm else critic.init(key_critic)
    if built.critic is not None:
      first = built.critic.init(key_latent, first)
    inputs = game_lib.inputs(
      parts,
      held_out=held_parts,
      weights=weights,
      radii=jnp.array([0.0, radius])[:count],
      generator_rate=rate,
      critic_rate=rate,
      warmup=config.warmup,
      extra=params if built.term is not None else (),
    )
    if built.generator is not None:
      params = built.generator.init(key_latent, params)
    return stage.Setup(params, trees.stack([first] * count), inputs)

  anchor_params = stage.stacked(list(anchors), batched) if anchored else ()
  pool_params = stage.stacked(list(pool), batched) if pooled else ()
  result = stage.play(
    key,
    setup,
    (
      start.params,
      start.critic if warm else (),
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
    hooks=_observing(stage.hooks_for(hooks, part), built.generator, batched),
    score=_score(played, spec.latent_size, images, batched, config),
  )
  critics = stage.first_critic(result.state.critics, batched)
  critics = _deployed(built.critic, batched)(critics)
  params = _deployed(built.generator, batched)(result.generator)
  if config.ternary is not None:
    described = ternary_lib.describe(
      trees.member(params, 0) if batched else params,
      scheme=config.ternary.scheme,
      granularity=config.ternary.granularity,
      leaves=config.ternary.leaves,
    )
    spec = dataclasses.replace(spec, ternary=described)
  return (
    generators.Generator(network, params, spec, critics),
    result.history,
  )


def by_member(
  config: Config, members: tuple[int, ...], share: Any = 0.0
) -> list[jax.Array]:
  """Anchor, rate, radius and share, one a member.

  Raises:
    ValueError: numbers of another number of members.
  """
  numbers = []
  for name, value in (
    ('anchor', config.anchor),
    ('rate', config.rate),
    ('radius', config.radius),
    ('share', share),
  ):
    value = np.asarray(value, np.float32)
    if value.shape not in ((), members):
      raise ValueError(
        f'{name} has shape {value.shape}, the members have {members}'
      )
    numbers.append(jnp.broadcast_to(value, members))
  return numbers


def check_images(images: Any, spec: generators.Spec, batched: bool) -> Any:
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
  if shape[lead - 1] < nodes.MIN_LOCAL:
    raise ValueError(
      f'{shape[lead - 1]} local samples, at least {nodes.MIN_LOCAL} are needed'
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
  hooks: driver.Hooks | None,
  transform: base.Transform | None,
  batched: bool,
) -> driver.Hooks | None:
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
  held = min(n - 1, max(1, round(config.held_out * n)))
  if not config.held_out:
    raise ValueError('early stopping needs held-out samples: raise held_out')
  rows = slice(n - held, n)
  real = images[:, rows] if batched else images[rows]
  z = jax.random.normal(jax.random.key(0), (512, latent_size))

  def one(params: Any, real: jax.Array) -> jax.Array:
    return energy.energy_distance(sources.decode(real), played.apply(params, z))

  compiled = jax.jit(jax.vmap(one) if batched else one)
  return lambda params: compiled(params, real)

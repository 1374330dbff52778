r"""The Wasserstein-1 barycenter of pretrained generators: the metamodel.

Jointly, one generator against K critics,

.. math:: \min_\nu \sum_k \lambda_k W_1(\mu_k, \nu)^{p}, \quad p = 1, 2,

or recursively, the previous barycenter against the next generator with
:math:`t_k = \lambda_k / \sum_{j \le k} \lambda_j`. With `p = 1` the joint
problem is a median, and the recursion with `p = 2` a mean along segments: they
target different measures. Of two generators of equal weights every measure on
a W1 segment is a barycenter for `p = 1`, and among them the mixture
:math:`\sum_k \lambda_k \mu_k` is the one without samples between those of its
ends, which of images look like neither: it is a game of one critic. For more
generators, or other weights, the mixture is no barycenter in general.

Dedeoglu, Lin, Zhang, Zhang, https://arxiv.org/abs/2101.09225.

Shapes: K generators, S seeds.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import refined_source
from coalesce_jax.gan import sources
from coalesce_jax.methods import barycenter_sources
from coalesce_jax.methods import replicas
from coalesce_jax.methods import runner
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.training import schedules

METHODS = ('joint', 'recursive', 'mixture')
# Steps of the critics alone, where none are asked for.
WARMUP = 100


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of the barycenter.

  Attributes:
    game: the game's settings; its objective is replaced by the argument of
      `barycenter`.
    schedule: the loop's; of every round, for the recursion.
    decay: whether the learning rates fall linearly to zero over the steps,
      instead of over `game.decay_steps`.
    start: index of the generator that the barycenter starts from; None is new
      parameters: a trained generator goes on learning badly, over thousands of
      steps a new one overtakes it.
    spec: architecture of the new generator; None is that of the first one.
      Critics are warm where its critic is theirs; if it names none, it is.
    warmup: steps at the start during which only the critics learn; None is
      100, at most a fifth of the steps.
    warm_critics: start from the generators' critics where all have one.
    fixed_samples: 0 draws fresh samples at every step; otherwise each
      generator is replaced by this many 8-bit samples drawn once.
    scale_weights: multiply the weights, which sum to 1, by K.
    refine: moves the fixed samples by the generators' own critics, see
      `refinement`, which have to be those between each generator and its data;
      None leaves them as they are.
  """

  game: game_lib.Config = dataclasses.field(default_factory=game_lib.Config)
  schedule: loop.Schedule = loop.Schedule(steps=1000)
  decay: bool = True
  start: int | None = 0
  spec: generator_lib.Spec | None = None
  warmup: int | None = None
  warm_critics: bool = True
  fixed_samples: int = 0
  scale_weights: bool = False
  refine: refined_source.Config | None = None

  def __post_init__(self):
    if self.fixed_samples < 0:
      raise ValueError(f'fixed_samples {self.fixed_samples} is negative')
    if self.refine is not None and not self.fixed_samples:
      raise ValueError('refine needs fixed_samples: each takes many steps')
    if self.spec is not None and self.start is not None:
      raise ValueError('spec is of a new generator: start is None')


def paper_code(steps: int = 5000, samples: int = 10000) -> Config:
  """The habits of the authors' published code, for comparison only.

  Penalty on the gradient norm over channels at each pixel, one real batch for
  all critic steps, fixed 8-bit samples instead of fresh ones, random critics,
  weights that sum to K. Use it with `objective='w1'`.

  Args:
    steps: generator steps.
    samples: of each generator, drawn once.
  """
  return Config(
    game=game_lib.Config(
      gp_norm='channel',
      reuse_batch=True,
      beta1=0.5,
      beta2=0.9,
      ema=0.999,
      critic_steps=5,
      learning_rate=1e-4,
    ),
    decay=False,
    schedule=loop.Schedule(steps=steps, chunk=loop.chunk_of(steps)),
    warmup=0,
    warm_critics=False,
    fixed_samples=samples,
    scale_weights=True,
  )


def check(
  members: list[generator_lib.Generator],
  method: str,
  objective: str | None,
  radii: Any,
  config: Config,
) -> str:
  """Refuses what `barycenter` cannot do, before anything is done.

  Args:
    members: as of `barycenter`, as all that follows.
    method: how.
    objective: which point, or None.
    radii: of 'ball'.
    config: settings.

  Returns:
    The objective, the default in place of None.

  Raises:
    ValueError: one line.
  """
  if len(members) < 2:
    raise ValueError(f'a barycenter needs 2 generators, not {len(members)}')
  if method not in METHODS:
    raise ValueError(f'method {method!r} is not one of {METHODS}')
  if method == 'mixture':
    if objective not in (None, 'w1'):
      raise ValueError(f"method 'mixture' has no objective {objective!r}")
    objective = 'w1'
  if objective is None:
    two = len(members) == 2 or method == 'recursive'
    objective = 'w1_squared' if two else 'w1'
  if objective == 'ball' and (radii is None or method != 'joint'):
    raise ValueError("objective 'ball' needs radii and method 'joint'")
  if config.start is not None and not 0 <= config.start < len(members):
    raise ValueError(f'start {config.start} of {len(members)} generators')
  shape = checks.same_samples(members)
  if config.spec is not None and config.spec.image_shape != shape:
    raise ValueError(
      f'spec has image_shape {config.spec.image_shape}, generators have {shape}'
    )
  if config.refine is not None and method == 'recursive':
    # The critic of a round knows the way to its last source, not to data.
    raise ValueError("refine goes with method 'joint' or 'mixture'")
  if config.refine is not None and any(m.critic is None for m in members):
    raise ValueError('refine needs a critic with every generator')
  return objective


def barycenter(
  key: types.PRNGKey,
  members: Sequence[generator_lib.Generator],
  weights: Any = None,
  *,
  method: str = 'joint',
  objective: str | None = None,
  radii: Any = None,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Learns a generator of the barycenter.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in all `members`.
    members: K >= 2 generators of samples of one shape; their networks may
      differ.
    weights: `[K]`, sum to 1; None is equal weights.
    method: 'joint', 'recursive' or 'mixture'.
    objective: 'w1', 'w1_squared' or 'ball'; None is 'w1_squared' for two
      generators and for the recursion, 'w1' otherwise. Always 'w1' for the
      mixture.
    radii: `[K]` for 'ball', in units of the samples; the first is not used.
    config: settings.
    hooks: effects; called with 'barycenter', or 'barycenter_1', ...,
      'barycenter_{K-1}' for the rounds of the recursion.

  Returns:
    The generator, of the network of the member that it starts from, with the
    critic of its last source, and the history.

  Raises:
    ValueError: samples of different shapes, bad weights, fewer than 2
      generators.
  """
  config = Config() if config is None else config
  members = list(members)
  objective = check(members, method, objective, radii, config)
  weights = checks.check_weights(weights, len(members))
  config = dataclasses.replace(
    config, game=dataclasses.replace(config.game, objective=objective)
  )
  if method != 'recursive':
    return _joint(
      key, members, weights, radii, config,
      loop.hooks_for(hooks, 'barycenter'), mixed=method == 'mixture',
    )  # fmt: skip
  rounds = len(members) - 1
  keys = replicas.each(lambda k: tuple(jax.random.split(k, rounds)), key)
  current, histories = members[0], []
  for k in range(1, len(members)):
    t = weights[k] / max(weights[: k + 1].sum(), 1e-12)
    current, history = _joint(
      keys[k - 1],
      [current, members[k]],
      np.array([1.0 - t, t]),
      None,
      config if config.start is None else dataclasses.replace(config, start=0),
      loop.hooks_for(hooks, f'barycenter_{k}'),
    )
    histories.append(history)
  return current, schedules.joined(histories)


def _joint(key, members, weights, radii, config, hooks, mixed=False):
  """One generator against the critics of all members, or one on their pool."""
  start = members[config.start or 0]
  network, spec = start.network, start.spec
  if config.spec is not None:
    network, spec = config.spec.build(), config.spec
  spec = barycenter_sources.with_critic(spec, members)
  kind = (spec.critic, spec.critic_options)
  warm = config.warm_critics and all(
    m.critic is not None and (m.spec.critic, m.spec.critic_options) == kind
    for m in members
  )
  # The critic of the start is the one that knows it.
  known = [start] if mixed else members
  critic = spec.build_critic()
  radii = np.zeros(len(members)) if radii is None else radii
  scaled = weights * len(members) if config.scale_weights else weights

  def setup(key, hyper, params, owns, first, critics):
    del hyper
    key_critic, key_samples, key_start = jax.random.split(key, 3)
    if config.start is None:
      first = network.init(key_start)
    drawn = barycenter_sources.of(members, params, owns, config.refine)
    if config.fixed_samples:
      drawn = sources.fixed(drawn, key_samples, config.fixed_samples)
    if not warm:
      keys = jax.random.split(key_critic, len(known))
      critics = trees.unstack(jax.vmap(critic.init)(keys))
    if mixed:
      pool = sources.pooled(drawn, jnp.asarray(weights, jnp.float32))
      targets = [runner.Target(pool, pool, 1.0, critics[0])]
    else:
      targets = barycenter_sources.targets(drawn, critics, scaled, radii)
    warmup = loop.warmup_of(config.warmup, WARMUP, config.schedule.steps)
    return runner.Setup(first, targets, warmup=warmup)

  result = runner.run(
    key,
    setup,
    (
      [m.params for m in members],
      [m.critic for m in members] if config.refine is not None else (),
      start.params,
      [m.critic for m in known] if warm else (),
    ),
    runner.method(
      config.game, config.schedule, spec, decay=config.decay, generator=network
    ),
    hooks=hooks,
  )
  made = generator_lib.Generator(
    network, result.params, spec, result.critics[-1]
  )
  return made, result.history

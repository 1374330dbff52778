r"""The game: one generator, K critics, one source of samples per critic.

.. math::
  f_k &= \arg\max E_{x \sim \mu_k} f(x) - E_z f(G(z)) - \text{penalty}(f) \\
  G   &= \arg\min \sum_k c_k \, (- E_z f_k(G(z)))

The coefficients `c_k` select which functional of the distances descends:
`objectives`.

Every stage of the package is this game with other sources, weights and
starting points. All functions are pure; an ensemble of games (seeds, nodes) is
a `vmap` over states, inputs and keys.

Shapes: K critics, B batch, Z latent. Distances in the units of the samples.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.data import augmentation
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import objectives
from coalesce_jax.gan import sources
from coalesce_jax.gan import wgan
from coalesce_jax.ops import precision
from coalesce_jax.parallel import batch_shards
from coalesce_jax.training import optimizers

# ``(generator parameters, z, samples, extra) -> scalar`` added to the loss.
Term = Callable[[Any, jax.Array, jax.Array, Any], jax.Array]


Config = config_lib.Config


class Inputs(NamedTuple):
  """What a game plays with; constant during a run, an ensemble axis allowed.

  Attributes:
    sources: sources that feed K critics together.
    held_out: sources of the same K for the distance estimates.
    weights: lambda, `[K]`.
    radii: eta, `[K]`; the first is not used. Only for `'ball'`.
    generator_rate: multiplies the generator's updates; 0 freezes it.
    critic_rate: multiplies the critics' updates.
    warmup: steps at the start during which only the critics learn.
    extra: arguments of the additional loss term.
  """

  sources: tuple[sources.Source, ...]
  held_out: tuple[sources.Source, ...]
  weights: jax.Array
  radii: jax.Array
  generator_rate: jax.Array
  critic_rate: jax.Array
  warmup: jax.Array
  extra: Any = ()


class State(NamedTuple):
  """All that changes.

  Attributes:
    step: generator updates done, `[]` int32.
    generator: parameters of G (latent parameters where they are transformed).
    ema: their moving average.
    critics: parameters, stacked along K.
    generator_optimizer: one Adam state a phase.
    critic_optimizer: Adam state of the stacked critics.
    w1: moving average of the distance estimates, `[K]`, without bias
      correction.
    start_w1: `w1`, corrected, at the end of the warm-up, `[K]`: where a run
      starts at one of two sources, its larger entry estimates their distance.
    multipliers: of the ball constraints, `[K]`.
  """

  step: jax.Array
  generator: Any
  ema: Any
  critics: Any
  generator_optimizer: Any
  critic_optimizer: Any
  w1: jax.Array
  start_w1: jax.Array
  multipliers: jax.Array


class Game(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: ``(generator, critics) -> State``; critics stacked along K.
    step: ``(state, inputs, key) -> (state, metrics)``, one generator update
      after `critic_steps` critic updates. The key is that of the whole run:
      the step folds its own number in.
  """

  init: Callable[[Any, Any], State]
  step: Callable[[State, Inputs, types.PRNGKey], tuple[State, types.Metrics]]


def inputs(
  parts: tuple[sources.Source, ...],
  *,
  held_out: tuple[sources.Source, ...] | None = None,
  weights: Any = None,
  radii: Any = None,
  generator_rate: Any = 1.0,
  critic_rate: Any = 1.0,
  warmup: int = 0,
  extra: Any = (),
) -> Inputs:
  """Inputs with defaults: equal weights, fresh draws as held-out samples."""
  count = sources.total(parts)
  if weights is None:
    weights = jnp.full((count,), 1.0 / count)
  radii = jnp.zeros(count) if radii is None else radii
  return Inputs(
    sources=parts,
    held_out=parts if held_out is None else held_out,
    weights=jnp.asarray(weights, jnp.float32),
    radii=jnp.asarray(radii, jnp.float32),
    generator_rate=jnp.asarray(generator_rate, jnp.float32),
    critic_rate=jnp.asarray(critic_rate, jnp.float32),
    warmup=jnp.int32(warmup),
    extra=extra,
  )


@functools.lru_cache(maxsize=64)
def make(
  config: Config,
  *,
  generator: types.Network,
  critic: types.Network,
  latent_size: int,
  term: Term | None = None,
) -> Game:
  """Builds the game.

  Args:
    config: static settings.
    generator: maps latents `[B, Z]` to samples; its parameters may be the
      latent parameters of a transform (`transforms.base.attach`).
    critic: maps samples to scores `[B]`; all K critics share it.
    latent_size: Z.
    term: an additional generator loss.

  Returns:
    `Game(init, step)`; the same one for the same arguments, so that compiled
    programs are shared.
  """
  augment = augmentation.build(config.augment)
  repeats = config.critic_steps

  def generator_optimizers(params: Any) -> list[optax.GradientTransformation]:
    adam = optimizers.adam(
      config.learning_rate,
      config.beta1,
      config.beta2,
      config.decay_steps,
      config.epsilon,
    )
    return optimizers.phased(adam, config.phases, params)

  def critic_optimizer(critics: Any) -> optax.GradientTransformation:
    rate = config.critic_learning_rate
    adam = optimizers.adam(
      config.learning_rate if rate is None else rate,
      config.beta1,
      config.beta2,
      config.decay_steps * repeats,
    )
    return optimizers.frozen(adam, config.freeze, critics)

  def augmented(key: types.PRNGKey, x: jax.Array) -> jax.Array:
    return x if augment is None else augment(key, x)

  def critic_update(carry, xs, rate):
    critics, optimizer_state = carry
    real, fake, key = xs  # [K, B, ...], [B, ...]

    def loss(params, real, key):
      key_real, key_fake, key_points = jax.random.split(key, 3)
      return wgan.critic_loss(
        lambda x: critic.apply(params, x),
        augmented(key_real, real),
        augmented(key_fake, fake),
        key_points,
        penalty_weight=config.penalty_weight,
        penalty=config.penalty,
        norm=config.gp_norm,
      )

    keys = jax.random.split(key, real.shape[0])
    gradients, aux = batch_shards.mean(
      _each(jax.grad(loss, has_aux=True), critics, real, keys)
    )
    updates, optimizer_state = critic_optimizer(critics).update(
      gradients, optimizer_state
    )
    critics = optax.apply_updates(critics, _scale(updates, rate))
    return (critics, optimizer_state), aux

  def init(params: Any, critics: Any) -> State:
    count = jax.tree.leaves(critics)[0].shape[0]
    # Distinct buffers: the driver may donate the state.
    copy = lambda tree: jax.tree.map(jnp.copy, tree)  # noqa: E731
    return State(
      step=jnp.int32(0),
      generator=copy(params),
      ema=copy(params),
      critics=copy(critics),
      generator_optimizer=tuple(
        o.init(params) for o in generator_optimizers(params)
      ),
      critic_optimizer=critic_optimizer(critics).init(critics),
      w1=jnp.zeros(count),
      start_w1=jnp.zeros(count),
      multipliers=jnp.zeros(count),
    )

  @precision.use(config.precision)
  def step(
    state: State, inputs: Inputs, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    key = jax.random.fold_in(key, state.step)
    key_z, key_real, key_held, key_critic, key_aug = jax.random.split(key, 5)
    batch = batch_shards.size(config.batch_size)
    z = batch_shards.rows(
      lambda n: jax.random.normal(
        key_z, (repeats + config.generator_batches, n, latent_size)
      ),
      batch,
      1,
    )
    z_generator = z[repeats:].reshape(-1, latent_size)

    # G is constant during the critic steps: one large product makes the fakes
    # of all of them.
    z_critics = z[:repeats].reshape(-1, latent_size)
    fake = generator.apply(state.generator, z_critics)
    fake = fake.reshape(repeats, batch, *fake.shape[1:])
    draws = 1 if config.reuse_batch else repeats
    shared = z_critics if config.paired else None
    real = sources.draw(inputs.sources, key_real, draws * batch, shared)
    real = real.reshape(-1, draws, batch, *real.shape[2:]).swapaxes(0, 1)
    if config.reuse_batch:
      real = jnp.broadcast_to(real, (repeats, *real.shape[1:]))
    keys = jax.random.split(key_critic, repeats)
    (critics, critic_state), critic_aux = jax.lax.scan(
      lambda carry, xs: critic_update(carry, xs, inputs.critic_rate),
      (state.critics, state.critic_optimizer),
      (real, fake, keys),
    )

    shared = z[-1] if config.paired else None
    held = sources.draw(inputs.held_out, key_held, batch, shared)
    key_aug_held, key_aug_fake = jax.random.split(key_aug)
    held = jax.vmap(augmented, (None, 0))(key_aug_held, held)
    held_scores = batch_shards.mean(
      jax.vmap(critic.apply)(critics, held).mean(-1)
    )
    slope = critic_aux['slope'][-1]
    count = state.step + 1
    correction = 1.0 - config.w1_smoothing ** count.astype(jnp.float32)

    def loss(params):
      x = generator.apply(params, z_generator)
      seen = augmented(key_aug_fake, x)
      scores = jax.vmap(critic.apply, (0, None))(critics, seen).mean(-1)
      whole = batch_shards.mean(jax.lax.stop_gradient(scores))
      now = jax.lax.stop_gradient(wgan.distance(held_scores - whole, slope))
      mean = config.w1_smoothing * state.w1 + (1.0 - config.w1_smoothing) * now
      c = objectives.coefficients(
        config.objective, mean / correction, inputs.weights, inputs.radii,
        state.multipliers, config.ball_penalty,
      )  # fmt: skip
      # A steep critic would pull by more than its weight.
      steep = jnp.maximum(slope, 1.0) if config.gp_norm == 'sample' else 1.0
      value = -jnp.sum(jax.lax.stop_gradient(c / steep) * scores)
      if term is not None:
        value = value + term(params, z_generator, x, inputs.extra)
      return value, (now, mean, c)

    rate = jnp.where(count <= inputs.warmup, 0.0, inputs.generator_rate)
    params, optimizer_states, aux = state.generator, [], None
    for optimizer, optimizer_state in zip(
      generator_optimizers(params),
      state.generator_optimizer,
      strict=True,
    ):
      gradients, found = jax.grad(loss, has_aux=True)(params)
      gradients = batch_shards.mean(gradients)
      aux = found if aux is None else aux
      updates, optimizer_state = optimizer.update(gradients, optimizer_state)
      updates = _scale(updates, rate)
      params = optax.apply_updates(params, updates)
      optimizer_states.append(optimizer_state)
    assert aux is not None
    now, mean, c = aux
    w1 = mean / correction

    # Early averages forget the start quickly, later ones reach far.
    decay = jnp.minimum(config.ema, (1.0 + count) / (10.0 + count))
    ema = jax.tree.map(lambda a, b: decay * a + (1.0 - decay) * b, state.ema,
                       params)  # fmt: skip
    warming = count <= jnp.maximum(inputs.warmup, 1)
    start_w1 = jnp.where(warming, w1, state.start_w1)
    multipliers = objectives.multipliers(
      state.multipliers, w1, inputs.radii, config.ball_penalty, config.ball_rate
    )
    multipliers = jnp.where(warming, state.multipliers, multipliers)
    metrics = {
      'w1': now,
      'w1_smooth': w1,
      'penalty': critic_aux['penalty'][-1],
      'slope': slope,
      'train_gap': critic_aux['gap'][-1],
      'coefficient': c,
      'objective': objectives.value(config.objective, w1, inputs.weights),
    }
    if config.segment and sources.total(inputs.sources) == 2:
      metrics['position'] = w1[0] / jnp.maximum(w1[0] + w1[1], 1e-12)
      metrics['distance'] = jnp.max(start_w1)
      metrics['residual'] = w1[0] + w1[1] - jnp.max(start_w1)
    if config.objective == 'ball':
      metrics['multiplier'] = multipliers
      metrics['violation'] = jnp.maximum(w1 - inputs.radii, 0.0).at[0].set(0.0)
    state = State(
      step=count,
      generator=params,
      ema=ema,
      critics=critics,
      generator_optimizer=tuple(optimizer_states),
      critic_optimizer=critic_state,
      w1=mean,
      start_w1=start_w1,
      multipliers=multipliers,
    )
    return state, metrics

  return Game(init, step)


def _each(
  fn: Callable[..., Any], critics: Any, real: jax.Array, keys: jax.Array
) -> Any:
  """`fn` of each of K critics and its samples `[K, B, ...]`."""
  mesh = jax.sharding.get_abstract_mesh().shape
  apart = len(real) == 1 or mesh.get('critics', 1) > 1
  if apart or not batch_shards.in_turns(real[0].size):
    return jax.vmap(fn)(critics, real, keys)
  return jax.lax.map(lambda args: fn(*args), (critics, real, keys))


def _scale(updates: Any, rate: jax.Array) -> Any:
  return jax.tree.map(lambda u: rate * u, updates)

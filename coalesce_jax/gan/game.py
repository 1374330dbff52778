r"""The game: generators, K critics, one source of samples per critic.

.. math::
  f_k &= \arg\min_f L_f(f, \mu_k, G) \\
  G   &= \arg\min_G \sum_k c_k L_G(f_k, G) + \sum_t T_t(G)

For a Wasserstein GAN `L_f` is the penalty less the gap of the scores, `L_G` the
negative score (`adversarial`). The coefficients `c_k` select which functional
of the distances descends (`objectives`), the terms `T_t` are `terms`.

Every method of the package is this game with other sources, targets, terms and
reparametrizations. All functions are pure; an ensemble of games (seeds, nodes)
is a `vmap` over states, inputs and keys.

Shapes: K critics, B batch, R critic updates of a step. Distances in the units
of the samples.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import batches
from coalesce_jax.gan import buffers
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import critics as critics_lib
from coalesce_jax.gan import distances
from coalesce_jax.gan import generators
from coalesce_jax.gan import objectives
from coalesce_jax.gan import sources
from coalesce_jax.gan import state as state_lib
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.gan.adversarial import base as adversarial_lib
from coalesce_jax.gan.adversarial import registry as adversarials
from coalesce_jax.ops import precision
from coalesce_jax.training import task
from coalesce_jax.transforms import base
from coalesce_jax.transforms import masks

Config = config_lib.Config
Inputs = state_lib.Inputs
State = state_lib.State
inputs = state_lib.inputs


class Game(NamedTuple):
  """A task with critics.

  Attributes:
    task: what the loop drives: ``init(key, generator, critics, inputs)`` takes
      parameters of the networks, those of the critics stacked along K; a step
      is one generator update after `critic_steps` critic updates.
    critics: ``state -> parameters`` of the critics' network, stacked along K.
  """

  task: task.Task
  critics: Callable[[State], types.Params]


@functools.lru_cache(maxsize=64)
def make(
  config: Config,
  *,
  generator: types.Network,
  critic: types.Network,
  terms: tuple[terms_lib.Term, ...] = (),
  reparam: base.Reparam | None = None,
  critic_reparam: base.Reparam | None = None,
  adversarial: adversarial_lib.Adversarial | None = None,
  view: Callable[[Any, Any], jax.Array] | None = None,
  buffer: buffers.Buffer | None = None,
) -> Game:
  """Builds the game.

  Args:
    config: static settings.
    generator: maps what the prior draws to samples.
    critic: maps samples to scores `[B]`; all K critics share it.
    terms: additional generator losses; their names differ.
    reparam: reparametrizes the generator's parameters.
    critic_reparam: likewise, of each critic.
    adversarial: None is the one that the settings name.
    view: ``(prior, samples) -> what the critics see``: `[B, ...]` for all of
      them, or `[K, B, ...]`, one for each; None is the samples. The prior is
      what the samples were made of, such as an image to translate.
    buffer: of fakes of earlier steps; None shows the critics the new ones.

  Returns:
    The same game for equal arguments, so that compiled programs are shared.
  """
  if len({term.name for term in terms}) < len(terms):
    raise ValueError(f'terms {[t.name for t in terms]}: a name is there twice')
  reparam = base.identity() if reparam is None else reparam
  critic_reparam = base.identity() if critic_reparam is None else critic_reparam
  adversarial = adversarial or adversarials.build(
    config.adversarial,
    penalty_weight=config.penalty_weight,
    penalty=config.penalty,
    norm=config.gp_norm,
  )
  objective = objectives.build(
    config.objective, config.ball_penalty, config.ball_rate
  )
  judge = critics_lib.make(
    config,
    critic,
    adversarial,
    base.compose(masks.freeze(config.freeze), critic_reparam),
  )
  maker = generators.make(config, generator, reparam, terms, view)
  measure = distances.make(config, judge, adversarial, objective)
  kept = buffers.none() if buffer is None else buffer

  def init(
    key: types.PRNGKey, params: Any, critics: Any, inputs: Inputs
  ) -> State:
    key_generator, key_critics = jax.random.split(key)
    latent, frozen, optimizer = maker.init(key_generator, params)
    count = sources.total(inputs.sources)
    critics, critics_frozen, critic_optimizer = judge.init(key_critics, critics)
    fakes = maker.shape(params, inputs.prior)
    return State(
      step=jnp.int32(0),
      generator=latent,
      frozen=frozen,
      ema=latent,
      critics=critics,
      critics_frozen=critics_frozen,
      generator_optimizer=optimizer,
      critic_optimizer=critic_optimizer,
      w1=jnp.zeros(count),
      start_w1=jnp.zeros(count),
      objective=objective.init(count),
      buffer=buffers.start(kept, fakes, batches.own_fakes(fakes, inputs)),
    )

  @precision.use(config.precision)
  def step(
    state: State, inputs: Inputs, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    keys = batches.keys(key, state.step)
    prior, own_prior = batches.prior(config, inputs.prior, keys.prior)
    real = batches.real(config, inputs.sources, keys.real, prior)
    # G is constant during the critic updates: one large product makes the fakes
    # of all of them.
    fake = maker.fakes(state.generator, state.frozen, batches.flat(prior))
    shared = fake.ndim < real.ndim - 1  # By all critics.
    buffer, fake = buffers.exchange(
      kept, state.buffer, fake, keys.buffer, shared
    )
    fake = batches.by_round(fake, config.critic_steps, shared)
    critics, critic_optimizer, seen = judge.rounds(
      state, real, fake, inputs.critic_rate, keys.critic
    )
    state = state._replace(
      critics=critics, critic_optimizer=critic_optimizer, buffer=buffer
    )
    held = measure.held_out(
      state, inputs, own_prior, keys.held_out, keys.augment_held_out
    )
    adversary = measure.adversary(
      state, inputs, held, seen['slope'], keys.augment, shared
    )
    count = state.step + 1
    rate = jnp.where(count <= inputs.warmup, 0.0, inputs.generator_rate)
    generator, optimizer, estimate, lost = maker.update(
      state, own_prior, inputs.terms, adversary, rate
    )
    state, metrics = measure.update(state, inputs, estimate)
    state = state._replace(
      step=count,
      generator=generator,
      generator_optimizer=optimizer,
      ema=generators.averaged(config.ema, count, state.ema, generator),
    )
    train = {
      'penalty': seen['penalty'],
      'slope': seen['slope'],
      'train_gap': seen['gap'],
    }
    return state, {**metrics, **train, **lost}

  def model(state: State) -> types.Params:
    return reparam.apply(state.ema, state.frozen)

  return Game(
    task.Task(init, step, model, state_lib.SHARDED),
    lambda state: judge.params(state.critics, state.critics_frozen),
  )

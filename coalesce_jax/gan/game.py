r"""Trains generators against K critics, each with its own source of samples.

.. math::
  f_k &= \arg\min_f L_f(f, \mu_k, G) \\
  G   &= \arg\min_G \sum_k c_k L_G(f_k, G) + \sum_t T_t(G)

In a Wasserstein GAN the critic loss `L_f` is the gradient penalty minus the
dual gap, and the generator loss `L_G` is the negative mean score
(`adversarial`). The coefficients `c_k` select which functional of the distances
the generator descends (`objectives`). The terms `T_t` are further losses of the
generator (`terms`).

Every method of the package is this game with other sources, targets, terms and
reparametrizations. All functions are pure. An ensemble of games is a `vmap`
over states, inputs and keys.

Shapes: K critics, B batch, R critic updates of a step. Distances are in the
units of the samples.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import chex
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
    task: the task that the loop drives. Its
      ``init(key, generator, critics, inputs)`` takes the parameters of both
      networks, those of the critics stacked along K. One step is `critic_steps`
      critic updates and one generator update.
    critics: ``state -> parameters`` of the critic network, stacked along K.
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
    generator: network that maps a draw of the prior to samples.
    critic: network that maps samples to scores, `[B]` or `[B, ...]`. All K
      critics share it.
    terms: additional losses of the generator, with different names.
    reparam: reparametrization of the generator's parameters.
    critic_reparam: reparametrization of the parameters of each critic.
    adversarial: adversarial losses; None builds those that `config` names.
    view: ``(prior, samples) -> what the critics see``, `[B, ...]` for all
      critics or `[K, B, ...]`, one for each. The prior is what the samples were
      made from, such as images to translate. None shows the samples.
    buffer: buffer of old fakes; None shows the critics the new fakes.

  Returns:
    The game. Equal arguments return the same object, so that they share
    compiled programs.

  Raises:
    ValueError: two terms have one name.
  """
  if len({term.name for term in terms}) < len(terms):
    raise ValueError(f'terms {[t.name for t in terms]}: a name appears twice')
  reparam = base.identity() if reparam is None else reparam
  critic_reparam = base.identity() if critic_reparam is None else critic_reparam
  adversarial = adversarial or adversarials.of(config)
  objective = objectives.build(
    config.objective, config.ball_penalty, config.ball_rate
  )
  critic_fns = critics_lib.make(
    config,
    critic,
    adversarial,
    base.compose(masks.freeze(config.freeze), critic_reparam),
  )
  generator_fns = generators.make(config, generator, reparam, terms, view)
  distance_fns = distances.make(config, critic_fns, adversarial, objective)
  buffer = buffers.none() if buffer is None else buffer

  def init(
    key: types.PRNGKey, params: Any, critics: Any, inputs: Inputs
  ) -> State:
    key_generator, key_critics = jax.random.split(key)
    latent, frozen, optimizer = generator_fns.init(key_generator, params)
    count = sources.total(inputs.sources)
    chex.assert_tree_shape_prefix(critics, (count,))
    critics, critics_frozen, critic_optimizer = critic_fns.init(
      key_critics, critics
    )
    fakes = generator_fns.shape(params, inputs.prior)
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
      buffer=buffers.start(buffer, fakes, batches.own_fakes(fakes, inputs)),
    )

  @precision.use(config.precision)
  def step(
    state: State, inputs: Inputs, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    keys = batches.keys(key, state.step)
    prior, generator_prior = batches.prior(config, inputs.prior, keys.prior)
    real = batches.real(config, inputs.sources, keys.real, prior)
    # The generator is constant during the critic updates, so that one large
    # product makes the fakes of all of them.
    fake, made = generator_fns.fakes(
      state.generator, state.frozen, batches.flat(prior)
    )
    shared = fake.ndim < real.ndim - 1  # By all critics.
    buffer_state, fake = buffers.exchange(
      buffer, state.buffer, fake, keys.buffer, shared
    )
    fake = batches.by_round(fake, config.critic_steps, shared)
    critics, critic_optimizer, critic_aux = critic_fns.rounds(
      state, real, fake, inputs.critic_rate, keys.critic
    )
    state = state._replace(
      critics=critics, critic_optimizer=critic_optimizer, buffer=buffer_state
    )
    held = None
    if config.held_out:
      held = distance_fns.held_out(
        state, inputs, generator_prior, keys.held_out, keys.augment_held_out
      )
    adversary = distance_fns.adversary(
      state, inputs, held, critic_aux, keys.augment, shared
    )
    count = state.step + 1
    rate = jnp.where(count <= inputs.warmup, 0.0, inputs.generator_rate)
    generator, optimizer, estimate, term_metrics = generator_fns.update(
      state, generator_prior, inputs.terms, adversary, rate, keys.terms, made
    )
    state, metrics = distance_fns.update(state, inputs, estimate)
    state = state._replace(
      step=count,
      generator=generator,
      generator_optimizer=optimizer,
      ema=generators.averaged(config.ema, count, state.ema, generator),
    )
    critic_metrics = {
      'penalty': critic_aux['penalty'],
      'slope': critic_aux['slope'],
      'train_gap': critic_aux['gap'],
    }
    return state, {**metrics, **critic_metrics, **term_metrics}

  def model(state: State) -> types.Params:
    return reparam.apply(state.ema, state.frozen)

  return Game(
    task.Task(init, step, model, state_lib.SHARDED),
    lambda state: critic_fns.params(state.critics, state.critics_frozen),
  )

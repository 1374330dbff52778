r"""Moves particles to a W2 barycenter by critics that learn along with them.

.. math:: \min_{D_j} E_{x \sim \pi_j} \log (1 + e^{D_j(x)})
  + E_{x \sim \mu_j} \log (1 + e^{-D_j(x)})

The best critic of this loss, of a logistic GAN, is the logarithm of the ratio
of both densities. Its gradient at a particle is the difference of scores that
the flow of `ot.sampling` needs, so that no density is estimated on its own.
Gao et al., "Deep generative learning via variational gradient flow",
https://arxiv.org/abs/1901.08469, estimate the velocity of a flow so, of one
distribution.

Noise is added to what the critics see. The densities are then smooth, as those
of a kernel of this standard deviation are, of endless samples of the inputs.

Shapes: N particles, J inputs, B batch, T steps.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import config as game_config
from coalesce_jax.gan import critics as critics_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan.adversarial import registry
from coalesce_jax.ot import sampling
from coalesce_jax.training import loop
from coalesce_jax.training import task as task_lib
from coalesce_jax.transforms import base as reparams


@dataclasses.dataclass(frozen=True)
class Config:
  """How critics learn.

  Attributes:
    critic_steps: updates of the critics before each step of the particles.
    batch_size: B, of the inputs and of the particles.
    learning_rate: of Adam.
  """

  critic_steps: int = 4
  batch_size: int = 128
  learning_rate: float = 1e-3

  def __post_init__(self):
    for name in ('critic_steps', 'batch_size'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} {getattr(self, name)} is below 1')
    if not self.learning_rate > 0.0:
      raise ValueError(f'learning_rate {self.learning_rate} is not positive')


class Inputs(NamedTuple):
  """What stays the same over the steps.

  Attributes:
    inputs: sources of samples, which draw `[J, B, ...]` together.
    weights: `[J]`, sum to 1.
    alphas: alpha of each step, `[T]`.
    noise: standard deviation of the noise.
    step: size of a step of the particles, see `ot.sampling.flow`.
  """

  inputs: tuple[sources.Source, ...]
  weights: jax.Array
  alphas: jax.Array
  noise: jax.Array
  step: jax.Array


class State(NamedTuple):
  """Particles and critics.

  Attributes:
    step: steps done, `[]` int32.
    particles: `[J, N, ...]`.
    critics: parameters of the J critics, leaves `[J, ...]`, and the factor of
      each score.
    moments: state of the optimizer.
    trace: spread and speed of the steps done, as in `ot.sampling.Particles`,
      `[2, T]`.
  """

  step: jax.Array
  particles: jax.Array
  critics: Any
  moments: Any
  trace: jax.Array


def flow(
  key: types.PRNGKey,
  inputs: Sequence[sources.Source],
  start: jax.Array,
  critic: types.Network,
  critics: types.Params,
  weights: jax.Array,
  *,
  alpha: float,
  noise: float,
  schedule: loop.Schedule,
  rate: float = 0.5,
  config: Config | None = None,
  hooks: loop.Hooks | None = None,
) -> sampling.Particles:
  """Moves particles from samples of the inputs to those of the barycenter.

  Args:
    key: consumed.
    inputs: sources of samples of the J inputs.
    start: independent samples of the inputs, `[J, N, ...]`.
    critic: network of the critics.
    critics: their parameters at the start, leaves `[J, ...]`.
    weights: `[J]`, sum to 1.
    alpha: see `ot.sampling.of_gaussians`.
    noise: standard deviation of the noise that critics see, in data units.
    schedule: T steps.
    rate: size of a step, relative to the variance of the noise.
    config: how critics learn; None is `Config()`.
    hooks: effects of the loop.

  Returns:
    The particles, `[N, J, ...]`, and their means, `[N, ...]`.
  """
  made = task(critic, Config() if config is None else config)
  data = Inputs(
    tuple(inputs), weights, sampling.schedule(alpha, schedule.steps),
    jnp.float32(noise), jnp.float32(rate * noise**2),
  )  # fmt: skip
  state = made.init(start, critics, schedule.steps)
  found = loop.drive(made, state, data, key, schedule, hooks).model
  x = jnp.swapaxes(found['particles'], 0, 1)
  middle = sampling.means(x.reshape(*x.shape[:2], -1), weights)
  return sampling.Particles(
    middle.reshape(x.shape[:1] + x.shape[2:]), x, *found['trace']
  )


@functools.lru_cache(maxsize=16)
def task(critic: types.Network, config: Config) -> task_lib.Task:
  """Returns the flow as a task, whose model are `particles` and `trace`.

  Args:
    critic: network of the critics.
    config: how they learn.
  """
  # The factor of the scores is learned too.
  scored = types.Network(critic.init, _score(critic))
  game = game_config.Config(
    batch_size=config.batch_size, adversarial='bce', penalty='none',
    joined_scores=True, learning_rate=config.learning_rate, beta1=0.0,
    beta2=0.9,
  )  # fmt: skip
  critics = critics_lib.make(
    game, scored, registry.of(game), reparams.identity()
  )
  update = _update(critics, config)

  def init(particles: jax.Array, params: types.Params, steps: int) -> State:
    # Densities are equal at the start, where particles are samples.
    start = {'params': params, 'factor': jnp.zeros(len(particles))}
    latent, _, moments = critics.init(jax.random.key(0), start)
    trace = jnp.zeros((2, steps))
    return State(jnp.int32(0), particles, latent, moments, trace)

  def step(
    state: State, inputs: Inputs, key: types.PRNGKey
  ) -> tuple[State, types.Metrics]:
    key = jax.random.fold_in(key, state.step)
    learned, gaps = jax.lax.scan(
      functools.partial(update, state.particles, inputs),
      (state.critics, state.moments),
      jax.random.split(key, config.critic_steps),
    )
    scores = jax.vmap(jax.grad(lambda c, x: jnp.sum(scored.apply(c, x)), 1))(
      learned[0], state.particles
    )
    flat = lambda x: jnp.swapaxes(x, 0, 1).reshape(*x.shape[1::-1], -1)  # noqa: E731
    after, spread, speed = sampling.moved(
      flat(state.particles), flat(scores), inputs.weights,
      inputs.alphas[state.step], inputs.step,
    )  # fmt: skip
    moved = jnp.swapaxes(after, 0, 1).reshape(state.particles.shape)
    metrics = {'spread': spread, 'speed': speed, 'gap': gaps[-1]}
    trace = state.trace.at[:, state.step].set(jnp.stack([spread, speed]))
    return State(state.step + 1, moved, *learned, trace), metrics

  return task_lib.Task(
    init,
    step,
    lambda state: {'particles': state.particles, 'trace': state.trace},
  )


def _score(critic: types.Network) -> Callable[[Any, jax.Array], jax.Array]:
  return lambda one, x: one['factor'] * critic.apply(one['params'], x)


def _update(critics: critics_lib.Critics, config: Config) -> Callable[..., Any]:
  """Returns an update of the critics, for a scan over keys."""

  def update(
    particles: jax.Array, inputs: Inputs, carry: Any, key: types.PRNGKey
  ) -> tuple[Any, jax.Array]:
    latent, moments = carry
    key_draw, key_rows, key_noise = jax.random.split(key, 3)
    reals = sources.draw(inputs.inputs, key_draw, config.batch_size)
    rows = jax.random.randint(
      key_rows, (config.batch_size,), 0, particles.shape[1]
    )
    noise = inputs.noise * jax.random.normal(key_noise, (2, *reals.shape))
    # Neither losses nor the critics draw random numbers.
    latent, moments, aux = critics.update(
      latent, (), moments, reals + noise[1], particles[:, rows] + noise[0],
      1.0, key,
    )  # fmt: skip
    return (latent, moments), aux['gap']

  return update

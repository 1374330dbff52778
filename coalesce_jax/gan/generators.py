"""The generator of a game: its start, its fakes, its update, its average.

Shapes: K critics, B batch.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import state as state_lib
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.parallel import batch_shards
from coalesce_jax.training import optimizers
from coalesce_jax.transforms import base

# ``fakes -> (loss, aux)``.
Adversary = Callable[[jax.Array], tuple[jax.Array, Any]]


class Generators(NamedTuple):
  """The generator, or several in one tree, as pure functions.

  Attributes:
    init: ``(key, params) -> (latent, frozen, optimizer states)``.
    fakes: ``(latent, frozen, prior) -> what the critics see``, `[N, ...]`, or
      `[K, N, ...]` where each sees its own.
    shape: ``(params, prior source) -> shape`` and type of the fakes of one
      draw, computed without taking memory.
    update: ``(state, prior, data of the terms, adversary, rate) -> (latent,
      optimizer states, aux, metrics of the terms)``. The adversary is the
      critics' part of the loss.
  """

  init: Callable[[types.PRNGKey, types.Params], tuple[Any, Any, Any]]
  fakes: Callable[[Any, Any, Any], jax.Array]
  shape: Callable[[types.Params, sources.Source], Any]
  update: Callable[..., tuple[Any, Any, Any, types.Metrics]]


def make(
  config: config_lib.Config,
  network: types.Network,
  reparam: base.Reparam,
  terms: tuple[terms_lib.Term, ...] = (),
  view: Callable[[Any, Any], jax.Array] | None = None,
) -> Generators:
  """Returns the generator.

  Args:
    config: settings of the game.
    network: maps what the prior draws to samples.
    reparam: of its parameters.
    terms: additional losses.
    view: see `game.make`.
  """
  adam = optimizers.adam(
    config.learning_rate,
    config.beta1,
    config.beta2,
    config.decay_steps,
    config.epsilon,
  )

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any, Any]:
    latent, frozen = reparam.init(key, params)
    phases = reparam.optimizers(adam, latent)
    return latent, frozen, tuple(phase.init(latent) for phase in phases)

  def seen(prior: Any, samples: Any) -> jax.Array:
    return samples if view is None else view(prior, samples)

  def fakes(latent: Any, frozen: Any, prior: Any) -> jax.Array:
    samples = network.apply(reparam.apply(latent, frozen), prior)
    return seen(prior, samples)

  def shape(params: types.Params, prior: sources.Source) -> Any:
    def draw(params: types.Params, prior: sources.Source) -> jax.Array:
      drawn = sources.draw_one(prior, jax.random.key(0), 1)
      return seen(drawn, network.apply(params, drawn))

    return jax.eval_shape(draw, params, prior)

  def update(
    state: state_lib.State,
    prior: Any,
    data: Mapping[str, Any],
    adversary: Adversary,
    rate: jax.Array,
  ) -> tuple[Any, Any, Any, types.Metrics]:
    def loss(latent):
      params = reparam.apply(latent, state.frozen)
      batch = terms_lib.Batch(prior, network.apply(params, prior))
      value, aux = adversary(seen(prior, batch.samples))
      lost = {}
      for term in terms:
        lost[f'term/{term.name}'] = term.loss(params, batch, data[term.name])
        value = value + lost[f'term/{term.name}']
      if reparam.penalty is not base.free:
        lost['term/penalty'] = reparam.penalty(latent, state.frozen)
        value = value + lost['term/penalty']
      return value, (aux, batch_shards.mean(jax.lax.stop_gradient(lost)))

    latent, states, first = state.generator, [], None
    phases = reparam.optimizers(adam, latent)
    for phase, before in zip(phases, state.generator_optimizer, strict=True):
      gradients, found = jax.grad(loss, has_aux=True)(latent)
      gradients = batch_shards.mean(gradients)
      first = found if first is None else first
      updates, after = phase.update(gradients, before)
      updates = jax.tree.map(lambda u: rate * u, updates)
      latent = optax.apply_updates(latent, updates)
      states.append(after)
    assert first is not None
    return latent, tuple(states), *first

  return Generators(init, fakes, shape, update)


def averaged(decay: float, count: jax.Array, before: Any, now: Any) -> Any:
  """Returns the moving average of the generator's latent parameters.

  Early averages forget the start quickly, later ones reach far: the decay is
  at most ``(1 + count) / (10 + count)``.

  Args:
    decay: of late steps, in [0, 1).
    count: steps done, this one included.
    before: the average until now.
    now: parameters after this step.
  """
  kept = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
  return jax.tree.map(lambda a, b: kept * a + (1.0 - kept) * b, before, now)

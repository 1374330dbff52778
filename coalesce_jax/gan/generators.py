"""Initialises, samples, updates and averages the generator of a game.

Shapes: K critics, B batch, N samples.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
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

# The critics' part of the loss: ``fakes -> (loss, aux)``.
Adversary = Callable[[jax.Array], tuple[jax.Array, Any]]


class Made(NamedTuple):
  """Samples, and how they depend on the latent parameters.

  Attributes:
    samples: what the network made from a draw of the prior.
    pullback: ``cotangent of the samples -> (cotangent of the latent
      parameters,)``.
  """

  samples: Any
  pullback: Callable[[Any], tuple[Any]]


class Generators(NamedTuple):
  """The generator, or several in one tree of parameters, as pure functions.

  Attributes:
    init: ``(key, params) -> (latent, frozen, optimizer states)``.
    fakes: ``(latent, frozen, prior) -> (what the critics see, Made)``,
      `[N, ...]`, or `[K, N, ...]` where each critic sees its own. Without
      `shared_prior` there is None for ``Made``.
    shape: ``(params, source of the prior) -> shape and type`` of the fakes of
      one draw. Computes nothing.
    update: ``(state, prior, data of the terms, adversary, rate, key, made) ->
      (latent, optimizer states, aux, metrics of the terms)``. The adversary is
      the critics' part of the loss, ``rate`` multiplies the update, and ``key``
      is that of the terms. With ``made``, of this prior, the samples are not
      made again.
  """

  init: Callable[[types.PRNGKey, types.Params], tuple[Any, Any, Any]]
  fakes: Callable[[Any, Any, Any], tuple[jax.Array, Made | None]]
  shape: Callable[[types.Params, sources.Source], Any]
  update: Callable[..., tuple[Any, Any, Any, types.Metrics]]


def make(
  config: config_lib.Config,
  network: types.Network,
  reparam: base.Reparam,
  terms: tuple[terms_lib.Term, ...] = (),
  view: Callable[[Any, Any], jax.Array] | None = None,
) -> Generators:
  """Builds the functions of the generator.

  Args:
    config: settings of the game.
    network: network that maps a draw of the prior to samples.
    reparam: reparametrization of its parameters.
    terms: additional losses.
    view: see `game.make`.
  """
  adam = optimizers.adam(
    config.learning_rate,
    config.beta1,
    config.beta2,
    config.decay_steps,
    config.epsilon,
    config.constant_steps,
  )

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any, Any]:
    latent, frozen = reparam.init(key, params)
    phases = reparam.optimizers(adam, latent)
    return latent, frozen, tuple(phase.init(latent) for phase in phases)

  def viewed(prior: Any, samples: Any) -> jax.Array:
    return samples if view is None else view(prior, samples)

  def fakes(
    latent: Any, frozen: Any, prior: Any
  ) -> tuple[jax.Array, Made | None]:
    def sample(latent: Any) -> Any:
      return network.apply(reparam.apply(latent, frozen), prior)

    if not config.shared_prior:
      return viewed(prior, sample(latent)), None
    made = Made(*jax.vjp(sample, latent))
    return viewed(prior, made.samples), made

  def shape(params: types.Params, prior: sources.Source) -> Any:
    def draw(params: types.Params, prior: sources.Source) -> jax.Array:
      drawn = sources.draw_one(prior, jax.random.key(0), 1)
      return viewed(drawn, network.apply(params, drawn))

    return jax.eval_shape(draw, params, prior)

  def update(
    state: state_lib.State,
    prior: Any,
    data: Mapping[str, Any],
    adversary: Adversary,
    rate: jax.Array,
    key: types.PRNGKey,
    made: Made | None = None,
  ) -> tuple[Any, Any, Any, types.Metrics]:
    def loss(latent, samples):
      params = reparam.apply(latent, state.frozen)
      if samples is None:
        samples = network.apply(params, prior)
      value, aux = adversary(viewed(prior, samples))
      losses = {}
      for i, term in enumerate(terms):
        batch = terms_lib.Batch(prior, samples, jax.random.fold_in(key, i))
        term_loss = term.loss(params, batch, data[term.name])
        chex.assert_shape(term_loss, (), custom_message=f'term {term.name!r}')
        losses[f'term/{term.name}'] = term_loss
        value = value + term_loss
      if reparam.penalty is not base.free:
        losses['term/penalty'] = reparam.penalty(latent, state.frozen)
        value = value + losses['term/penalty']
      return value, (aux, batch_shards.mean(jax.lax.stop_gradient(losses)))

    latent, states, first_aux = state.generator, [], None
    phases = reparam.optimizers(adam, latent)
    for phase, before in zip(phases, state.generator_optimizer, strict=True):
      if made is None:
        gradients, phase_aux = jax.grad(loss, has_aux=True)(latent, None)
      else:
        (gradients, of_samples), phase_aux = jax.grad(
          loss, (0, 1), has_aux=True
        )(latent, made.samples)
        (through,) = made.pullback(of_samples)
        gradients = jax.tree.map(jnp.add, gradients, through)
        # The samples are of the parameters before the first update.
        made = None
      gradients = batch_shards.mean(gradients)
      first_aux = phase_aux if first_aux is None else first_aux
      updates, after = phase.update(gradients, before)
      updates = jax.tree.map(lambda u: rate * u, updates)
      latent = optax.apply_updates(latent, updates)
      states.append(after)
    assert first_aux is not None
    return latent, tuple(states), *first_aux

  return Generators(init, fakes, shape, update)


def averaged(decay: float, count: jax.Array, before: Any, now: Any) -> Any:
  """Returns the moving average of the generator's latent parameters.

  The decay is at most ``(1 + count) / (10 + count)``. The average therefore
  forgets the initial parameters quickly.

  Args:
    decay: decay of late steps, in [0, 1).
    count: steps done, including this one.
    before: average before this step.
    now: parameters after this step.
  """
  rate = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
  return jax.tree.map(lambda a, b: rate * a + (1.0 - rate) * b, before, now)

"""Initialises, updates and evaluates the critics of a game.

Shapes: K critics, B batch, R critic updates of a step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from coalesce_jax.core import types
from coalesce_jax.data import augmentation
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan.adversarial import base as adversarial_lib
from coalesce_jax.parallel import batch_shards
from coalesce_jax.training import optimizers
from coalesce_jax.transforms import base


class Critics(NamedTuple):
  """K critics of one network, as pure functions.

  In these signatures ``optimizer`` is the state of the critics' Adam, and
  ``rate`` multiplies the update. Fakes (``fake``) are `[B, ...]`, or
  `[K, B, ...]` where each critic sees its own. The dict ``aux`` has `gap`,
  `penalty` and `slope` (the mean gradient norm), each `[K]`.

  Attributes:
    init: ``(key, params [K, ...]) -> (latent, frozen, optimizer)``.
    update: ``(latent, frozen, optimizer, real [K, B, ...], fake, rate, key) ->
      (latent, optimizer, aux)``. Updates all critics once.
    rounds: ``(state, real [R, K, B, ...], fake [R, ...], rate, key) -> (latent,
      optimizer, aux)``. Updates all critics R times; `aux` is that of the last
      update.
    scores: ``(latent, frozen, samples, shared) -> scores``, `[K, B]`, or
      `[K, B, ...]` of a critic with several scores for each sample. Samples are
      `[K, B, ...]`, or `[B, ...]` if they are shared by all critics.
    params: ``(latent, frozen) -> params [K, ...]`` of the network.
  """

  init: Callable[[types.PRNGKey, types.Params], tuple[Any, Any, Any]]
  update: Callable[..., tuple[Any, Any, dict[str, jax.Array]]]
  rounds: Callable[..., tuple[Any, Any, dict[str, jax.Array]]]
  scores: Callable[[Any, Any, jax.Array, bool], jax.Array]
  params: Callable[[Any, Any], types.Params]


def make(
  config: config_lib.Config,
  critic: types.Network,
  adversarial: adversarial_lib.Adversarial,
  reparam: base.Reparam,
) -> Critics:
  """Builds the critics.

  Args:
    config: settings of the game.
    critic: the network that all K critics share.
    adversarial: its `critic_loss` is what the critics descend.
    reparam: reparametrization of the parameters of each critic.
  """
  rate = config.critic_learning_rate
  adam = optimizers.adam(
    config.learning_rate if rate is None else rate,
    config.beta1,
    config.beta2,
    config.decay_steps * config.critic_steps,
    constant_steps=config.constant_steps * config.critic_steps,
  )
  augment = augmentation.build(config.augment)

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any, Any]:
    count = jax.tree.leaves(params)[0].shape[0]
    keys = jax.random.split(key, count)
    latent, frozen = jax.vmap(reparam.init)(keys, params)
    return latent, frozen, adam.init(latent)

  def loss(latent, frozen, real, fake, key):
    key_real, key_fake, key_points = jax.random.split(key, 3)
    if augment is not None:
      real, fake = augment(key_real, real), augment(key_fake, fake)
    params = reparam.apply(latent, frozen)
    return adversarial.critic_loss(
      lambda x: critic.apply(params, x), real, fake, key_points
    )

  def update(latent, frozen, optimizer_state, real, fake, rate, key):
    keys = jax.random.split(key, real.shape[0])
    gradients, aux = batch_shards.mean(
      _each(jax.grad(loss, has_aux=True), latent, frozen, real, fake, keys)
    )
    updates, optimizer_state = adam.update(gradients, optimizer_state)
    updates = jax.tree.map(lambda u: rate * u, updates)
    return optax.apply_updates(latent, updates), optimizer_state, aux

  def rounds(state, real, fake, rate, key):
    def one(carry, xs):
      real, fake, key = xs
      latent, optimizer_state, aux = update(
        carry[0], state.critics_frozen, carry[1], real, fake, rate, key
      )
      return (latent, optimizer_state), aux

    keys = jax.random.split(key, len(real))
    carry = state.critics, state.critic_optimizer
    carry, aux = jax.lax.scan(one, carry, (real, fake, keys))
    return *carry, jax.tree.map(lambda values: values[-1], aux)

  def scores(
    latent: Any, frozen: Any, samples: jax.Array, shared: bool = False
  ) -> jax.Array:
    def one(latent: Any, frozen: Any, x: jax.Array) -> jax.Array:
      return critic.apply(reparam.apply(latent, frozen), x)

    return jax.vmap(one, (0, 0, None if shared else 0))(latent, frozen, samples)

  return Critics(init, update, rounds, scores, jax.vmap(reparam.apply))


def _each(fn, latent, frozen, real, fake, keys):
  """Applies `fn` to each critic, in turns where that is faster on a CPU."""
  shared = fake.ndim < real.ndim
  mesh = jax.sharding.get_abstract_mesh().shape
  at_once = len(real) == 1 or mesh.get('critics', 1) > 1
  if at_once or not batch_shards.in_turns(real[0].size):
    axes = (0, 0, 0, None if shared else 0, 0)
    return jax.vmap(fn, axes)(latent, frozen, real, fake, keys)

  def one(args):
    latent, frozen, real, per_critic, key = args
    return fn(latent, frozen, real, fake if shared else per_critic, key)

  per_critic = () if shared else fake
  return jax.lax.map(one, (latent, frozen, real, per_critic, keys))

r"""Trains two translators on images without pairs: CycleGAN.

.. math::
  \min_{G, F} \max_{f_A, f_B} L_{GAN}(G, f_B) + L_{GAN}(F, f_A)
  + \lambda (E |F(G(a)) - a|_1 + E |G(F(b)) - b|_1)
  + \lambda_i (E |G(b) - b|_1 + E |F(a) - a|_1)

G translates A to B, F translates B to A. Eq. 3 and Sec. 5.2 of Zhu et al.,
https://arxiv.org/abs/1703.10593. Critics see old fakes, from one pool each.

Shapes: B batch, C, D channels of A and B, S seeds.
"""

from collections.abc import Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import buffers
from coalesce_jax.gan import terms
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.training import loop
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import settings
from coalesce_jax.translation import training

Config = settings.CycleGan
Translator = translator_lib.Translator


def cyclegan(
  key: types.PRNGKey,
  domains: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[tuple[Translator, Translator], loop.History]:
  """Trains a translator in each direction.

  Args:
    key: one key, or `[S]` keys; consumed.
    domains: images A as conditions and B as targets, see `training.data`. They
      are drawn independently, so that pairs among them are not used.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stage is 'cyclegan'.

  Returns:
    The translators from A to B and from B to A, leaves `[S, ...]` for `[S]`
    keys, and the history. With early stopping they are those of the lowest sum
    of energy distances to held-out images of both domains.

  Raises:
    ValueError: see `training.data`; the domains have different sizes, or with
      `lambda_identity` different numbers of channels.
  """
  config = Config() if config is None else config
  images = training.data(domains, config.crop_size, paired=False)
  return fit(key, images, config=config, hooks=hooks)


def fit(
  key: types.PRNGKey,
  images: training.Data,
  *,
  config: Config,
  hooks: loop.HooksFor | None = None,
) -> tuple[tuple[Translator, Translator], loop.History]:
  """Trains on images that `training.data` has checked; see `cyclegan`."""
  trained = problems.train(
    key, problem(images, config), loop.hooks_for(hooks, 'cyclegan')
  )
  specs, _ = networks(images, config)
  made = tuple(
    training.result(spec, trained.params[name])
    for spec, name in zip(specs, ('ab', 'ba'), strict=True)
  )
  return (made[0], made[1]), trained.history


def problem(
  images: training.Data,
  config: Config,
  specs: Sequence[generator_lib.Spec] | None = None,
) -> problems.Problem:
  """Returns the game of `cyclegan` before it is trained.

  Args:
    images: checked images, see `training.data`.
    config: settings.
    specs: of both translators with other widths; None are those of the
      settings.

  Raises:
    ValueError: see `networks`.
  """
  own, critic = networks(images, config)
  specs = own if specs is None else specs
  both, size = tuple(spec.build() for spec in specs), specs[0].image_shape[:2]
  wide = max(spec.image_shape[-1] for spec in specs)
  # Samples of one batch are independent of each other under all other norms.
  together = config.networks.norm != 'batch'
  network = _both(*both, config.lambda_identity > 0.0, together)
  how: dict[str, Any] = {'crop': config.crop_size, 'flip': config.flip}

  def setup(key, hyper, images):
    key_generator, key_b, key_a = jax.random.split(key, 3)
    domains = (
      (images.target, images.held_target, key_b),
      (images.condition, images.held_condition, key_a),
    )
    return runner.Setup(
      network.init(key_generator),
      tuple(
        runner.Target(
          pair_sources.images(train, channels=wide, **how),
          pair_sources.images(held, channels=wide, **how),
          config.adversarial_weight,
          critic.init(key_critic),
        )
        for train, held, key_critic in domains
      ),
      terms={
        'cycle': hyper['lambda_cycle'],
        'identity': hyper['lambda_cycle'] * hyper['lambda_identity'],
      },
      prior=pair_sources.pairs(
        images.condition, images.target, paired=False, **how
      ),
    )

  options = config.networks.generator_options()

  def score(params, images):
    made = (
      training.translate(network, params[name], held, options)
      for network, name, held in (
        (both[0], 'ab', images.held_condition),
        (both[1], 'ba', images.held_target),
      )
    )
    real = images.held_target, images.held_condition
    return sum(map(training.domain_distance, made, real))

  losses: tuple[terms.Term, ...] = (_cycle(*both),)
  if config.lambda_identity:
    losses += (_identity(),)
  return training.problem(
    setup, images, config,
    size=size,
    hyper={
      'lambda_cycle': config.lambda_cycle,
      'lambda_identity': config.lambda_identity,
    },
    score=score,
    generator=network, critic=critic, terms=losses, view=_view(wide),
    buffer=buffers.pool(config.pool_size) if config.pool_size else None,
  )  # fmt: skip


def networks(
  images: training.Data, config: Config
) -> tuple[list[generator_lib.Spec], types.Network]:
  """Returns the specs of both translators, and the critic of images.

  Raises:
    ValueError: networks cannot have these settings, or the domains do not fit
      each other, see `cyclegan`.
  """
  size = config.crop_size or images.condition.shape[1:3]
  channels = images.condition.shape[-1], images.target.shape[-1]
  if config.crop_size is None and images.target.shape[1:3] != tuple(size):
    raise ValueError(
      f'images of {tuple(size)} and {images.target.shape[1:3]}: domains need '
      'one size, or a crop_size'
    )
  if config.lambda_identity and channels[0] != channels[1]:
    raise ValueError(
      f'domains of {channels[0]} and {channels[1]} channels: set '
      'lambda_identity to 0'
    )
  specs = [
    training.spec(config.networks, size, each)
    for each in (channels, channels[::-1])
  ]
  for spec in specs:
    spec.build()
  return specs, training.critic(config.networks, size, max(channels))


@functools.lru_cache(maxsize=64)
def _both(
  ab: types.Network, ba: types.Network, identity: bool, together: bool
) -> types.Network:
  """Returns both translators as one generator.

  Args:
    ab: translates A to B.
    ba: translates B to A.
    identity: whether images that are in the target domain are translated too.
    together: whether they are translated in one batch with the others.
  """

  def init(key: types.PRNGKey) -> types.Params:
    first, second = jax.random.split(key)
    return {'ab': ab.init(first), 'ba': ba.init(second)}

  def apply(params: types.Params, prior: Any) -> dict[str, jax.Array]:
    a, b = prior['condition'], prior['target']
    n, made = len(a), {}
    for name, translate, first, then in (
      ('b', functools.partial(ab.apply, params['ab']), a, b),
      ('a', functools.partial(ba.apply, params['ba']), b, a),
    ):
      if not identity:
        made[name] = translate(first)
      elif together:
        joined = translate(jnp.concatenate([first, then]))
        made[name], made[f'same_{name}'] = joined[:n], joined[n:]
      else:
        made[name], made[f'same_{name}'] = translate(first), translate(then)
    return made

  return types.Network(init, apply)


@functools.lru_cache(maxsize=64)
def _view(channels: int) -> Any:
  """Returns what the critics of B and of A see, `[2, B, H, W, channels]`."""

  def view(prior: Any, samples: Any) -> jax.Array:
    del prior
    return jnp.stack(
      [pair_sources.widened(samples[name], channels) for name in ('b', 'a')]
    )

  return view


@functools.lru_cache(maxsize=64)
def _cycle(ab: types.Network, ba: types.Network) -> terms.Term:
  """Returns the loss of translations there and back."""

  def loss(params: types.Params, batch: Any, weight: Any) -> jax.Array:
    back_a = ba.apply(params['ba'], batch.samples['b'])
    back_b = ab.apply(params['ab'], batch.samples['a'])
    return weight * (
      jnp.mean(jnp.abs(back_a - batch.prior['condition']))
      + jnp.mean(jnp.abs(back_b - batch.prior['target']))
    )

  return terms.Term(loss, 'cycle')


@functools.lru_cache(maxsize=1)
def _identity() -> terms.Term:
  """Returns the loss of images that are in the target domain already."""

  def loss(params: types.Params, batch: Any, weight: Any) -> jax.Array:
    del params
    return weight * (
      jnp.mean(jnp.abs(batch.samples['same_b'] - batch.prior['target']))
      + jnp.mean(jnp.abs(batch.samples['same_a'] - batch.prior['condition']))
    )

  return terms.Term(loss, 'identity')

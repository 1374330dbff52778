r"""Trains a translator on pairs: pix2pix.

.. math:: \min_G \max_f L_{GAN}(G, f) + \lambda \, E |y - G(x)|_1

The critic f sees condition x and image as one. Eq. 4 of Isola et al.,
https://arxiv.org/abs/1611.07004. There dropout is the only noise; here it is
off unless `networks.dropout` is set, and never active at test.

Shapes: S seeds.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from coalesce_jax.training import loop
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import settings
from coalesce_jax.translation import training

Config = settings.Pix2pix


def pix2pix(
  key: types.PRNGKey,
  pairs: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[translator_lib.Translator, loop.History]:
  """Trains a translator on pairs.

  Args:
    key: one key, or `[S]` keys; consumed.
    pairs: pairs for training, and those held out, see `training.data`.
    config: settings; None is `Config()`.
    hooks: maps the name of a stage to its effects. The stage is 'pix2pix'.

  Returns:
    The translator, leaves `[S, ...]` for `[S]` keys, and the history. With
    early stopping it is the one of the lowest L1 distance to held-out targets.

  Raises:
    ValueError: see `training.data`; networks cannot have these settings.
  """
  config = Config() if config is None else config
  images = training.data(pairs, config.crop_size, paired=True)
  return fit(key, images, config=config, hooks=hooks)


def fit(
  key: types.PRNGKey,
  images: training.Data,
  *,
  config: Config,
  hooks: loop.HooksFor | None = None,
) -> tuple[translator_lib.Translator, loop.History]:
  """Trains on images that `training.data` has checked; see `pix2pix`."""
  trained = problems.train(
    key, problem(images, config), loop.hooks_for(hooks, 'pix2pix')
  )
  spec, _ = networks(images, config)
  return training.result(spec, trained.params), trained.history


def problem(
  images: training.Data,
  config: Config,
  spec: generator_lib.Spec | None = None,
) -> problems.Problem:
  """Returns the game of `pix2pix` before it is trained.

  Args:
    images: checked images, see `training.data`.
    config: settings.
    spec: of a translator of these images with other widths; None is the one of
      the settings.

  Raises:
    ValueError: networks cannot have these settings.
  """
  own, critic = networks(images, config)
  spec = spec or own
  network, size = spec.build(), spec.image_shape[:2]
  how: dict[str, Any] = {'crop': config.crop_size, 'flip': config.flip}

  def setup(key, hyper, images):
    key_generator, key_critic = jax.random.split(key)
    prior = pair_sources.pairs(images.condition, images.target, **how)
    if config.networks.dropout:
      prior = sources.together({'pair': prior, 'noise': sources.random_keys()})
    held = images.held_condition, images.held_target
    return runner.Setup(
      network.init(key_generator),
      (
        runner.Target(
          pair_sources.joined_pairs(images.condition, images.target, **how),
          pair_sources.joined_pairs(*held, **how),
          config.adversarial_weight,
          critic.init(key_critic),
        ),
      ),
      terms={'l1': hyper['lambda_l1']},
      prior=prior,
    )

  return training.problem(
    setup, images, config,
    size=size,
    hyper={'lambda_l1': config.lambda_l1},
    score=lambda params, images: training.l1(
      network, params, images, dict(spec.options)
    ),
    generator=_generator(network), critic=critic,
    terms=(_l1(),), view=_view,
  )  # fmt: skip


def networks(
  images: training.Data, config: Config
) -> tuple[generator_lib.Spec, types.Network]:
  """Returns the spec of the translator, and the critic of pairs.

  Raises:
    ValueError: networks cannot have these settings.
  """
  size = config.crop_size or images.condition.shape[1:3]
  channels = images.condition.shape[-1], images.target.shape[-1]
  spec = training.spec(config.networks, size, channels)
  spec.build()
  return spec, training.critic(config.networks, size, sum(channels))


def _pair(prior: Any) -> Any:
  """Returns condition and target of a draw, with or without noise."""
  return prior.get('pair', prior)


@functools.lru_cache(maxsize=64)
def _generator(network: types.Network) -> types.Network:
  """Returns the network that reads a draw of the prior."""

  def apply(params: types.Params, prior: Any) -> jax.Array:
    inputs = {'condition': _pair(prior)['condition']}
    if 'noise' in prior:
      inputs['noise'] = prior['noise']
    made: jax.Array = network.apply(params, inputs)
    return made

  return types.Network(network.init, apply)


def _view(prior: Any, samples: jax.Array) -> jax.Array:
  return pair_sources.beside(_pair(prior)['condition'], samples)


@functools.lru_cache(maxsize=1)
def _l1() -> terms.Term:
  loss: Callable[..., jax.Array] = lambda params, batch, weight: (  # noqa: E731
    weight * jnp.mean(jnp.abs(batch.samples - _pair(batch.prior)['target']))
  )
  return terms.Term(loss, 'l1')

r"""Trains one translator on images without pairs, by contrast of patches: CUT.

.. math::
  \min_G \max_f L_{GAN}(G, f) + \lambda L_{NCE}(G, A) + \lambda L_{NCE}(G, B)

The loss of a place in a layer is the cross-entropy of finding, by the features
of G(x) there, the features of x at the same place among those of other places.
Features are those of the translator's own encoder, after two-layer heads. Eq. 3
to 5 of Park et al., https://arxiv.org/abs/2007.15651. As in their public code
the two contrastive losses are averaged, and features of x are constants.

Shapes: B batch, H, W map, C channels, P places, S seeds.
"""

from collections.abc import Sequence
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
from coalesce_jax.networks import translators
from coalesce_jax.training import loop
from coalesce_jax.translation import contrast
from coalesce_jax.translation import pair_sources
from coalesce_jax.translation import settings
from coalesce_jax.translation import training

Config = settings.Cut


def cut(
  key: types.PRNGKey,
  domains: Any,
  *,
  config: Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[translator_lib.Translator, loop.History]:
  """Trains a translator from A to B.

  Args:
    key: one key, or `[S]` keys; consumed.
    domains: images A as conditions and B as targets, see `training.data`. They
      are drawn independently, so that pairs among them are not used.
    config: settings; None is `Config()`. `settings.fast_cut` gives FastCUT.
    hooks: maps the name of a stage to its effects. The stage is 'cut'.

  Returns:
    The translator, leaves `[S, ...]` for `[S]` keys, and the history. With
    early stopping it is the one of the lowest energy distance to held-out
    images of B.

  Raises:
    ValueError: see `training.data`; the network has no such layers, or with
      `nce_identity` the domains have different numbers of channels.
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
) -> tuple[translator_lib.Translator, loop.History]:
  """Trains on images that `training.data` has checked; see `cut`."""
  trained = problems.train(
    key, problem(images, config), loop.hooks_for(hooks, 'cut')
  )
  spec, _, _ = networks(images, config)
  return training.result(spec, trained.params['translator']), trained.history


def problem(images: training.Data, config: Config) -> problems.Problem:
  """Returns the game of `cut` before it is trained.

  Args:
    images: checked images, see `training.data`.
    config: settings.

  Raises:
    ValueError: see `networks`.
  """
  spec, encoder, critic = networks(images, config)
  network, shape = spec.build(), spec.image_shape
  size, channels = (shape[0], shape[1]), shape[2]
  generator = _generator(network, encoder, size, channels, config)
  how: dict[str, Any] = {'crop': config.crop_size, 'flip': config.flip}

  def setup(key, hyper, images):
    key_generator, key_critic = jax.random.split(key)
    pairs = pair_sources.pairs(
      images.condition, images.target, paired=False, **how
    )
    return runner.Setup(
      generator.init(key_generator),
      (
        runner.Target(
          pair_sources.images(images.target, **how),
          pair_sources.images(images.held_target, **how),
          config.adversarial_weight,
          critic.init(key_critic),
        ),
      ),
      terms={'nce': hyper['lambda_nce']},
      prior=sources.together({'pair': pairs, 'noise': sources.random_keys()}),
    )

  def score(params, images):
    made = training.translate(
      network,
      params['translator'],
      images.held_condition,
      config.networks.generator_options(),
    )
    return training.domain_distance(made, images.held_target)

  return training.problem(
    setup, images, config,
    size=size,
    hyper={'lambda_nce': config.lambda_nce},
    score=score,
    generator=generator, critic=critic,
    terms=(_contrast(encoder, config),), view=_view,
  )  # fmt: skip


def networks(
  images: training.Data, config: Config
) -> tuple[generator_lib.Spec, types.Network, types.Network]:
  """Returns the spec of the translator, its encoder, and the critic of images.

  Raises:
    ValueError: networks cannot have these settings, or the domains have
      different numbers of channels.
  """
  size = config.crop_size or images.condition.shape[1:3]
  channels = images.condition.shape[-1], images.target.shape[-1]
  if channels[0] != channels[1]:
    raise ValueError(
      f'domains of {channels[0]} and {channels[1]} channels: CUT encodes '
      'images of both with one network'
    )
  spec = training.spec(config.networks, size, channels)
  spec.build()
  critic = training.critic(config.networks, size, channels[1])
  return spec, _encoder(spec, config.nce_layers), critic


def _encoder(
  spec: generator_lib.Spec, layers: tuple[int, ...]
) -> types.Network:
  assert spec.condition_shape is not None
  return translators.features(
    spec.network,
    in_channels=spec.condition_shape[-1],
    out_channels=spec.image_shape[-1],
    layers=layers,
    **dict(spec.options),
  )


@functools.lru_cache(maxsize=64)
def _generator(
  network: types.Network,
  encoder: types.Network,
  size: tuple[int, int],
  channels: int,
  config: Config,
) -> types.Network:
  """Returns the translator with the heads of the contrast beside it."""

  def init(key: types.PRNGKey) -> types.Params:
    key_translator, key_heads = jax.random.split(key)
    params = network.init(key_translator)
    image = jax.ShapeDtypeStruct((1, *size, channels), jnp.float32)
    maps = jax.eval_shape(encoder.apply, params, image)
    keys = jax.random.split(key_heads, len(maps))
    heads = {
      f'head_{i}': contrast.head(k, each.shape[-1], config.features)
      for i, (k, each) in enumerate(zip(keys, maps, strict=True))
    }
    return {'translator': params, 'heads': heads}

  def apply(params: types.Params, prior: Any) -> dict[str, jax.Array]:
    pair = prior['pair']
    images = [pair['condition']]
    if config.nce_identity:
      images.append(pair['target'])
    made = _each(
      lambda x: network.apply(params['translator'], x), images, config
    )
    return dict(zip(('made', 'same'), made, strict=False))

  return types.Network(init, apply)


def _each(fn: Any, images: Sequence[jax.Array], config: Config) -> list[Any]:
  """Applies a network to batches of images, to all at once if they allow it."""
  if config.networks.norm == 'batch':
    return [fn(x) for x in images]
  joined, n = fn(jnp.concatenate(images)), len(images[0])
  return [
    jax.tree.map(lambda x, i=i: x[i * n : (i + 1) * n], joined)
    for i in range(len(images))
  ]


def _view(prior: Any, samples: dict[str, jax.Array]) -> jax.Array:
  del prior
  return samples['made']


@functools.lru_cache(maxsize=64)
def _contrast(encoder: types.Network, config: Config) -> terms.Term:
  def at_places(
    maps: Sequence[jax.Array], places: Sequence[jax.Array]
  ) -> list[jax.Array]:
    return [
      each.reshape(len(each), -1, each.shape[-1])[:, index]
      for each, index in zip(maps, places, strict=True)
    ]

  def nce(
    heads: types.Params,
    real: Sequence[jax.Array],
    made: Sequence[jax.Array],
    key: types.PRNGKey,
  ) -> jax.Array:
    places = [
      jax.random.choice(
        jax.random.fold_in(key, i),
        each.shape[1] * each.shape[2],
        (min(config.patches, each.shape[1] * each.shape[2]),),
        replace=False,
      )
      for i, each in enumerate(made)
    ]
    queries, keys = (at_places(each, places) for each in (made, real))
    losses = [
      contrast.loss(
        contrast.embedded(heads[f'head_{i}'], query),
        contrast.embedded(heads[f'head_{i}'], key),
        config.temperature,
      )
      for i, (query, key) in enumerate(zip(queries, keys, strict=True))
    ]
    return sum(losses, jnp.float32(0.0)) / len(losses)

  def loss(params: types.Params, batch: Any, weight: Any) -> jax.Array:
    pair, samples = batch.prior['pair'], batch.samples
    key = jax.random.wrap_key_data(batch.prior['noise'][0], impl='threefry2x32')
    real, made = [pair['condition']], [samples['made']]
    if config.nce_identity:
      real.append(pair['target'])
      made.append(samples['same'])

    def encode(images: Sequence[jax.Array]) -> list[Any]:
      return _each(
        lambda x: encoder.apply(params['translator'], x), images, config
      )

    values = [
      nce(params['heads'], a, b, jax.random.fold_in(key, (1 << 20) * i))
      for i, (a, b) in enumerate(zip(encode(real), encode(made), strict=True))
    ]
    return weight * sum(values, jnp.float32(0.0)) / len(values)

  return terms.Term(loss, 'nce')

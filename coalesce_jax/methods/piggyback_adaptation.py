r"""Adapts to local samples with the filters of other generators as a bank.

.. math:: W = [U, \; B A], \qquad B = [W_1, \dots, W_K]

Of each inner layer a share of the filters is trained, U. The others are linear
combinations, by trained matrices A, of the frozen filters of all K nodes. Zhai
et al., "Piggyback GAN", https://arxiv.org/abs/2104.11939, learn a bank from
earlier tasks; here other nodes have learned it. The result has the composed
filters and is a generator like any other. See `transforms.piggyback`.

Shapes: K nodes, N local samples, S replicas.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import numpy as np

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import local_samples
from coalesce_jax.methods import fine_tuning
from coalesce_jax.methods import frozen_parts
from coalesce_jax.methods import settings
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.training import loop
from coalesce_jax.transforms import piggyback

# Share of free filters.
SHARE = settings.PIGGYBACK_SHARE


def borrow(
  key: types.PRNGKey,
  nodes: Sequence[generator_lib.Generator],
  images: Any,
  *,
  share: float = SHARE,
  config: fine_tuning.Config | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[generator_lib.Generator, loop.History]:
  """Learns a generator whose filters are borrowed from the nodes.

  Training starts from the generator of the first node, and from its critic if
  it has one.

  Args:
    key: one key, or `[S]` keys with `[S, ...]` leaves in `nodes`; consumed.
    nodes: K generators of one architecture.
    images: local samples, `[N, ...]` or `[S, N, ...]`, uint8 or in [-1, 1].
    share: lambda, the share of free filters of each inner layer.
    config: settings; its `anchor` is not used.
    hooks: maps the name of a stage to its effects. The stage is 'piggyback'.
      They observe composed parameters, those of a plain generator.

  Returns:
    A generator of the same architecture with its critic, and the history.

  Raises:
    ValueError: architectures differ, their inner layers are not known, the
      share is not in [0, 1], or see `adaptation.adapt`.
  """
  key = keys_lib.typed(key)
  config = fine_tuning.default(nodes[0].spec) if config is None else config
  spec = checks.with_critic(checks.same_architecture(list(nodes)))
  shares = rules(spec, share)
  images = local_samples.check(images, spec.image_shape, key.shape)
  network = composed(spec.build())
  count = key.size if key.ndim else None
  made = loop.hooks_for(hooks, 'piggyback') or loop.Hooks()

  def observe(step: int, params: types.Params) -> None:
    made.observe(step, _exactly(params, count))

  def begin(key, params):
    latent, bank = start(key, params, shares)
    return {'latent': latent, 'bank': bank}

  result = frozen_parts.train(
    key, nodes, images,
    spec=spec,
    network=network,
    start=begin,
    frozen='bank/.*',
    config=config,
    hooks=made._replace(observe=observe),
    score=fine_tuning.score(network, spec.latent_size, config),
  )  # fmt: skip
  params = _exactly(result.params, count)
  return generator_lib.Generator(
    spec.build(), params, spec, result.critics[0]
  ), result.history


def rules(spec: generator_lib.Spec, share: float) -> piggyback.Shares:
  """Returns the rules of the inner layers of a network.

  Raises:
    ValueError: they are not known, there are none, or the share is not in
      [0, 1].
  """
  found = ((layer_names.inner_kernels(spec.network), share),)
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  piggyback.factorised(shapes, found)
  return found


def start(
  key: types.PRNGKey, params: Sequence[types.Params], shares: piggyback.Shares
) -> tuple[Any, types.Params]:
  """Returns latent parameters that make the first node, and the bank of all.

  Args:
    key: consumed.
    params: parameters of the K nodes.
    shares: see `rules`.
  """
  empty = piggyback.empty(params[0], shares)
  # As first tasks, whose filters are all free.
  latents = [piggyback.start(key, each, empty, shares)[0] for each in params]
  bank = piggyback.bank_of(latents, tuple(trees.flatten(empty)))
  return piggyback.start(key, params[0], bank, shares, latents[0])


def stored(spec: generator_lib.Spec, share: float, count: int) -> int:
  """Counts the parameters that a node stores that has the bank already.

  Args:
    spec: spec of the nodes.
    share: lambda.
    count: K.
  """
  shares = rules(spec, share)
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  latent, _ = jax.eval_shape(
    lambda key, params: start(key, [params] * count, shares),
    jax.random.key(0), shapes,
  )  # fmt: skip
  return trees.count(latent)


@functools.lru_cache(maxsize=16)
def composed(network: types.Network) -> types.Network:
  """Returns the network whose parameters are `latent` and `bank`."""
  apply: Callable[..., jax.Array] = network.apply

  def composed_apply(params: types.Params, inputs: jax.Array) -> jax.Array:
    return apply(piggyback.apply(params['latent'], params['bank']), inputs)

  return types.Network(network.init, composed_apply)


def _exactly(params: Any, count: int | None) -> types.Params:
  pair = jax.tree.map(np.asarray, (params['latent'], params['bank']))
  if count is None:
    return jax.tree.map(jax.numpy.asarray, piggyback.apply_exactly(*pair))
  each = [piggyback.apply_exactly(*trees.member(pair, s)) for s in range(count)]
  return trees.stack(each)

r"""Plays the game of `gan.convex` by gradients, to compare with its solution.

.. math::
  \min_W \max_A \; E |G|^2 + E_x x^T A x - E_z G^T A G - \beta |A|_*

Each batch is all samples, so that expectations are exact. Reimplemented from
the equations of Sahiner et al., https://arxiv.org/abs/2107.05680.

Shapes: N samples, Z latent, D dimensions.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.gan.adversarial import base


@functools.lru_cache(maxsize=16)
def generator(latent_size: int, dimension: int) -> types.Network:
  """Returns the linear generator `z W`."""

  def init(key: types.PRNGKey) -> types.Params:
    shape = latent_size, dimension
    return {'w': jax.random.normal(key, shape) / jnp.sqrt(latent_size)}

  return types.Network(init, lambda params, z: z @ params['w'])


@functools.lru_cache(maxsize=16)
def critic(dimension: int) -> types.Network:
  """Returns the quadratic critic `x A x`, which starts at A = 0."""

  def init(key: types.PRNGKey) -> types.Params:
    del key
    return {'a': jnp.zeros((dimension, dimension))}

  def apply(params: types.Params, x: jax.Array) -> jax.Array:
    a = 0.5 * (params['a'] + params['a'].T)
    return jnp.sum((x @ a) * x, 1)

  return types.Network(init, apply)


@functools.lru_cache(maxsize=16)
def losses(beta: float, dimension: int) -> base.Adversarial:
  """Returns the losses of the game, whose penalty is `beta |A|_*`.

  The gradient of a quadratic critic at the unit vectors is 2 A.
  """

  def critic_loss(
    score: base.Critic, real: jax.Array, fake: jax.Array, key: types.PRNGKey
  ) -> tuple[jax.Array, dict[str, Any]]:
    del key
    gap = jnp.mean(score(real)) - jnp.mean(score(fake))
    twice = jax.grad(lambda x: jnp.sum(score(x)))(jnp.eye(dimension))
    norm = jnp.sum(jnp.abs(jnp.linalg.eigvalsh(0.5 * twice)))
    aux = {'gap': gap, 'penalty': norm, 'slope': jnp.float32(1.0)}
    return beta * norm - gap, aux

  return base.Adversarial(critic_loss, lambda scores: -jnp.mean(scores))


@functools.lru_cache(maxsize=1)
def norm() -> terms.Term:
  """Returns the mean squared norm of the samples."""

  def loss(params: types.Params, batch: terms.Batch, data: Any) -> jax.Array:
    del params, data
    return jnp.mean(jnp.sum(batch.samples**2, 1))

  return terms.Term(loss, 'norm')


def whole(samples: jax.Array) -> sources.Source:
  """Returns a source of the samples in turn, `[N, ...]`.

  Every batch of a multiple of N has all of them equally often.
  """
  return sources.Source(samples, _draw_whole)


def _draw_whole(data: jax.Array, key: types.PRNGKey, n: int) -> jax.Array:
  del key
  return data[jnp.arange(n) % len(data)][None]


def make(
  config: config_lib.Config, latents: jax.Array, samples: jax.Array, beta: float
) -> tuple[game_lib.Game, game_lib.Inputs, Callable[[types.PRNGKey], Any]]:
  """Builds the game.

  Args:
    config: its settings; `batch_size` is N.
    latents: `[N, Z]`.
    samples: `[N, D]`.
    beta: see `convex.solve`.

  Returns:
    The game, its inputs, and ``key -> state``. The parameters of the generator
    are `{'w': [Z, D]}`.

  Raises:
    ValueError: latents, samples and batch are not of one size.
  """
  if len(latents) != len(samples):
    raise ValueError(f'latents: {len(latents)} for {len(samples)} samples')
  if config.batch_size != len(samples):
    raise ValueError(
      f'batch_size {config.batch_size}: all {len(samples)} samples are needed'
    )
  dimension = samples.shape[1]
  linear, quadratic = generator(latents.shape[1], dimension), critic(dimension)
  game = game_lib.make(
    config,
    generator=linear,
    critic=quadratic,
    terms=(norm(),),
    adversarial=losses(float(beta), dimension),
  )
  inputs = game_lib.inputs(
    (whole(samples),), prior=whole(latents), terms={'norm': ()}
  )

  def init(key: types.PRNGKey) -> Any:
    key_weights, key_game = jax.random.split(key)
    critics = jax.tree.map(lambda x: x[None], quadratic.init(key))
    return game.task.init(key_game, linear.init(key_weights), critics, inputs)

  return game, inputs, init

"""Draws the latents, the fakes and the real samples of one step of a game.

Shapes: K critics, B batch, Z latent, R critic updates of a step, G batches of
the generator's update.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import state as state_lib
from coalesce_jax.parallel import batch_shards


class Keys(NamedTuple):
  """The random keys of one step.

  Attributes:
    prior: draws what the generator starts from.
    real: draws the real samples.
    held_out: draws the held-out samples.
    critic: serves the critic updates.
    augment_held_out: augments the held-out samples.
    augment: augments the fakes in the generator's loss.
    buffer: serves the buffer of old fakes.
    terms: serves the terms of the generator.
  """

  prior: types.PRNGKey
  real: types.PRNGKey
  held_out: types.PRNGKey
  critic: types.PRNGKey
  augment_held_out: types.PRNGKey
  augment: types.PRNGKey
  buffer: types.PRNGKey
  terms: types.PRNGKey


def keys(key: types.PRNGKey, step: jax.Array) -> Keys:
  """Derives the keys of one step from the key of the run.

  Args:
    key: the key of the whole run.
    step: number of the step, `[]` int32.
  """
  key = jax.random.fold_in(key, step)
  prior, real, held_out, critic, augment = jax.random.split(key, 5)
  held, fake = jax.random.split(augment)
  buffer, terms = (jax.random.fold_in(augment, i) for i in (2, 3))
  return Keys(prior, real, held_out, critic, held, fake, buffer, terms)


def prior(
  config: config_lib.Config, source: sources.Source, key: types.PRNGKey
) -> tuple[Any, Any]:
  """Draws what the generator starts from in one step.

  Args:
    config: settings of the game.
    source: the prior.
    key: consumed.

  Returns:
    Two pytrees: leaves `[R, B, ...]` for the critic updates and `[G B, ...]`
    for the generator's update. With `shared_prior` both are the same draws.
  """
  rounds, batch = config.critic_steps, batch_shards.size(config.batch_size)
  first = 0 if config.shared_prior else rounds
  count = first + config.generator_batches
  drawn = sources.draw_one(source, key, count * batch)

  def split(leaf: jax.Array) -> tuple[jax.Array, jax.Array]:
    batched = leaf.reshape(count, batch, *leaf.shape[1:])
    remaining = batched[first:]
    return batched[:rounds], remaining.reshape(-1, *leaf.shape[1:])

  leaves, tree = jax.tree.flatten(drawn)
  critics, generator = zip(*map(split, leaves), strict=True)
  return jax.tree.unflatten(tree, critics), jax.tree.unflatten(tree, generator)


def flat(rounds: Any) -> Any:
  """Joins the first two axes of each leaf: `[R, B, ...]` to `[R B, ...]`."""
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rounds)


def real(
  config: config_lib.Config,
  critic_sources: tuple[sources.Source, ...],
  key: types.PRNGKey,
  latents: Any,
) -> jax.Array:
  """Draws the real samples of all critic updates.

  Args:
    config: settings of the game.
    critic_sources: sources that feed K critics together.
    key: consumed.
    latents: `[R, B, Z]`. In a paired game, sources with latents of this size
      use them instead of new ones.

  Returns:
    `[R, K, B, ...]`.
  """
  rounds, batch = config.critic_steps, batch_shards.size(config.batch_size)
  count = 1 if config.reuse_batch else rounds
  shared_latents = flat(latents) if config.paired else None
  samples = sources.draw(critic_sources, key, count * batch, shared_latents)
  samples = samples.reshape(-1, count, batch, *samples.shape[2:]).swapaxes(0, 1)
  if config.reuse_batch:
    samples = jnp.broadcast_to(samples, (rounds, *samples.shape[1:]))
  return samples


def own_fakes(fakes: Any, inputs: state_lib.Inputs) -> bool:
  """Returns whether each critic sees fakes of its own.

  Args:
    fakes: shape and type of what the critics see of one sample: `[1, ...]`, or
      `[K, 1, ...]` where each critic sees its own.
    inputs: inputs of the game. Their real samples, `[K, 1, ...]`, tell the two
      cases apart.
  """
  real = jax.eval_shape(
    lambda given: sources.draw(given, jax.random.key(0), 1), inputs.sources
  )
  return bool(fakes.ndim == real.ndim)


def by_round(fakes: jax.Array, rounds: int, shared: bool) -> jax.Array:
  """Splits fakes into those of each critic update.

  Args:
    fakes: `[R B, ...]`, or `[K, R B, ...]` where each critic sees its own.
    rounds: R.
    shared: whether all critics see the same fakes.

  Returns:
    `[R, B, ...]`, or `[R, K, B, ...]`.
  """
  if shared:
    return fakes.reshape(rounds, -1, *fakes.shape[1:])
  per_critic = fakes.reshape(len(fakes), rounds, -1, *fakes.shape[2:])
  return per_critic.swapaxes(0, 1)

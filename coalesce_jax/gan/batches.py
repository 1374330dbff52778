"""What one step of a game draws: priors, fakes and real samples.

Shapes: K critics, B batch, R critic updates of a step, G batches of the
generator's update.
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
  """The random keys of one step."""

  prior: types.PRNGKey
  real: types.PRNGKey
  held_out: types.PRNGKey
  critic: types.PRNGKey
  augment_held_out: types.PRNGKey
  augment: types.PRNGKey
  buffer: types.PRNGKey


def keys(key: types.PRNGKey, step: jax.Array) -> Keys:
  """Returns the keys of a step of a run.

  Args:
    key: that of the whole run.
    step: number of the step.
  """
  key = jax.random.fold_in(key, step)
  prior, real, held_out, critic, augment = jax.random.split(key, 5)
  held, fake = jax.random.split(augment)
  buffer = jax.random.fold_in(augment, 2)
  return Keys(prior, real, held_out, critic, held, fake, buffer)


def prior(
  config: config_lib.Config, source: sources.Source, key: types.PRNGKey
) -> tuple[Any, Any]:
  """Draws what the generator starts from in one step.

  Args:
    config: settings of the game.
    source: the prior.
    key: consumed.

  Returns:
    Leaves `[R, B, ...]` for the critics' updates and `[G B, ...]` for the
    generator's.
  """
  rounds, batch = config.critic_steps, batch_shards.size(config.batch_size)
  count = rounds + config.generator_batches
  drawn = sources.draw_one(source, key, count * batch)

  def split(leaf: jax.Array) -> tuple[jax.Array, jax.Array]:
    apart = leaf.reshape(count, batch, *leaf.shape[1:])
    rest = apart[rounds:]
    return apart[:rounds], rest.reshape(-1, *leaf.shape[1:])

  leaves, tree = jax.tree.flatten(drawn)
  critics, own = zip(*map(split, leaves), strict=True)
  return jax.tree.unflatten(tree, critics), jax.tree.unflatten(tree, own)


def flat(rounds: Any) -> Any:
  """Joins leaves `[R, B, ...]` to `[R B, ...]`."""
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rounds)


def real(
  config: config_lib.Config,
  given: tuple[sources.Source, ...],
  key: types.PRNGKey,
  latents: Any,
) -> jax.Array:
  """Draws the real samples of all critic updates, `[R, K, B, ...]`.

  Args:
    config: settings of the game.
    given: sources of K critics.
    key: consumed.
    latents: `[R, B, Z]`, which paired sources read instead of their own.
  """
  rounds, batch = config.critic_steps, batch_shards.size(config.batch_size)
  draws = 1 if config.reuse_batch else rounds
  shared = flat(latents) if config.paired else None
  drawn = sources.draw(given, key, draws * batch, shared)
  drawn = drawn.reshape(-1, draws, batch, *drawn.shape[2:]).swapaxes(0, 1)
  if config.reuse_batch:
    drawn = jnp.broadcast_to(drawn, (rounds, *drawn.shape[1:]))
  return drawn


def own_fakes(fakes: Any, inputs: state_lib.Inputs) -> bool:
  """Whether every critic sees fakes of its own.

  Args:
    fakes: what the critics see of one draw, `[1, ...]` or `[K, 1, ...]`.
    inputs: of the game, for the rank of its real samples, `[K, 1, ...]`.
  """
  real = jax.eval_shape(
    lambda given: sources.draw(given, jax.random.key(0), 1), inputs.sources
  )
  return bool(fakes.ndim == real.ndim)


def by_round(fakes: jax.Array, rounds: int, shared: bool) -> jax.Array:
  """Splits fakes by critic updates.

  Args:
    fakes: `[R B, ...]`, or `[K, R B, ...]` where every critic sees its own.
    rounds: R.
    shared: whether all critics see the same ones.

  Returns:
    `[R, B, ...]`, or `[R, K, B, ...]`.
  """
  if shared:
    return fakes.reshape(rounds, -1, *fakes.shape[1:])
  apart = fakes.reshape(len(fakes), rounds, -1, *fakes.shape[2:])
  return apart.swapaxes(0, 1)

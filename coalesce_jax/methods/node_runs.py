"""Runs a method once for each node, all nodes and replicas as one program.

Shapes: N nodes, S replicas, T rows of history.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.methods import replicas
from coalesce_jax.methods import runner
from coalesce_jax.training import loop


def run(
  key: types.PRNGKey,
  setup: Callable[..., runner.Setup],
  args: tuple[Any, ...],
  method: runner.Method,
  *,
  own: tuple[Any, ...] = (),
  hooks: loop.Hooks | None = None,
) -> tuple[list[runner.Trained], loop.History]:
  """Trains one game for each node and replica, all as one program.

  Args:
    key: one key, or `[S]` keys; consumed.
    setup: see `runner.run`; it sets up one node of one replica.
    args: arguments of `setup`, leaves `[N, ...]`, the same for all replicas.
    method: static settings.
    own: further arguments of `setup`, leaves `[S * N, ...]`, one an entry of
      `flat`.
    hooks: effects of the loop over all nodes and replicas.

  Returns:
    The results of the N nodes, and the history of all nodes, metrics
    `[T, (S,) N, ...]`.
  """
  key = keys_lib.typed(key)
  count = jax.tree.leaves(args)[0].shape[0]
  keys, repeated = flat(key, args)
  trained = runner.run(keys, setup, (*repeated, *own), method, hooks=hooks)
  shape = *key.shape, count

  def split_nodes(leaf: Any) -> Any:
    return leaf.reshape(*shape, *leaf.shape[1:])

  params, critics = jax.tree.map(split_nodes, (trained.params, trained.critics))
  history = {
    name: value
    if name == 'step'
    else value.reshape(len(value), *shape, *value.shape[2:])
    for name, value in trained.history.items()
  }
  nodes = [
    runner.Trained(
      replicas.at(params, k, key.ndim),
      [replicas.at(c, k, key.ndim) for c in critics],
      history,
    )
    for k in range(count)
  ]
  return nodes, history


def flat(key: types.PRNGKey, args: Any) -> tuple[types.PRNGKey, Any]:
  """Returns a key and arguments for each node of each replica.

  Args:
    key: one typed key, or `[S]` keys; consumed.
    args: leaves `[N, ...]`, the same for all replicas.

  Returns:
    `[S * N]` keys, the nodes of the first replica first, and the arguments,
    leaves `[S * N, ...]`.
  """
  count = jax.tree.leaves(args)[0].shape[0]
  keys = replicas.each(lambda k: jax.random.split(k, count), key)
  copies = keys.size // count

  def repeated(leaf: jax.Array) -> jax.Array:
    copied = jnp.broadcast_to(leaf[None], (copies, *leaf.shape))
    return copied.reshape(-1, *leaf.shape[1:])

  return keys.reshape(-1), jax.tree.map(repeated, args)

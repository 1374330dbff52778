"""Replicas: pure functions and numbers of one, for all of them.

Shapes: S replicas (seeds).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types


def each(fn: Callable[..., Any], key: types.PRNGKey, *args: Any) -> Any:
  """Calls a pure function of one replica for each of them.

  Args:
    fn: ``(key, *args) -> anything``.
    key: one key, or `[S]` keys.
    *args: leaves `[S, ...]` for `[S]` keys.
  """
  return (jax.vmap(fn) if key.ndim else fn)(key, *args)


def per_replica(
  hyper: Mapping[str, Any], replicas: tuple[int, ...]
) -> dict[str, jax.Array]:
  """Returns hyperparameters with one value a replica.

  Args:
    hyper: numbers by name, one or as many as there are replicas.
    replicas: `()` or `(S,)`.

  Raises:
    ValueError: numbers of another number of replicas.
  """
  found = {}
  for name, value in hyper.items():
    array = np.asarray(value, np.float32)
    if array.shape not in ((), replicas):
      raise ValueError(
        f'{name} has shape {array.shape}, the replicas have {replicas}'
      )
    found[name] = jnp.broadcast_to(array, replicas)
  return found


def at(tree: Any, index: int, axis: int) -> Any:
  """Returns the entry of every leaf at an index of an axis."""
  pick = (slice(None),) * axis + (index,)
  return jax.tree.map(lambda leaf: leaf[pick], tree)

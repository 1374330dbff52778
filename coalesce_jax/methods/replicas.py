"""Maps functions and hyperparameters over replicas.

Shapes: S replicas (seeds).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types


def each(fn: Callable[..., Any], key: types.PRNGKey, *args: Any) -> Any:
  """Calls a pure function once for each replica.

  Args:
    fn: ``(key, *args) -> anything``, a function of one replica.
    key: one key, or `[S]` keys.
    *args: leaves `[S, ...]` for `[S]` keys.
  """
  return (jax.vmap(fn) if key.ndim else fn)(key, *args)


def per_replica(
  hyper: Mapping[str, Any], replicas: tuple[int, ...]
) -> dict[str, jax.Array]:
  """Returns hyperparameters with one value for each replica.

  Args:
    hyper: numbers by name, each one number or one for each replica.
    replicas: `()` or `(S,)`.

  Returns:
    Arrays by name, each of the shape `replicas`.

  Raises:
    ValueError: a number of values differs from the number of replicas.
  """
  arrays = {}
  for name, value in hyper.items():
    array = np.asarray(value, np.float32)
    if array.shape not in ((), replicas):
      raise ValueError(
        f'{name} has shape {array.shape}, the replicas have {replicas}'
      )
    arrays[name] = jnp.broadcast_to(array, replicas)
  return arrays


def at(tree: Any, index: int, axis: int) -> Any:
  """Returns the entry of every leaf at one index of an axis.

  Args:
    tree: leaves with that axis.
    index: index of the entry.
    axis: the axis, which is removed.
  """
  pick = (slice(None),) * axis + (index,)
  return jax.tree.map(lambda leaf: leaf[pick], tree)

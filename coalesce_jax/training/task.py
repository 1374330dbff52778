"""Defines a task: anything that learns, as three pure functions.

The loop (`training.loop`), checkpoints and meshes know a task only by this
interface.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from coalesce_jax.core import types

# Pairs of (name of a field of the state or of the inputs, mesh axis).
Sharded = tuple[tuple[str, str], ...]


class Task(NamedTuple):
  """Three pure functions, and the sharding of their arrays.

  Attributes:
    init: ``(key, *args) -> state``, a pytree whose field `step` counts the
      steps done, `[]` int32.
    step: ``(state, inputs, key) -> (state, metrics)``. The key is that of the
      whole run. A step folds `state.step` into it, so that a resumed run equals
      the whole run.
    model: ``state -> parameters`` to deploy, evaluate and score.
    sharded: fields of state and inputs whose leaves have a leading axis that
      lies along an axis of the mesh.
  """

  init: Callable[..., Any]
  step: Callable[[Any, Any, types.PRNGKey], tuple[Any, types.Metrics]]
  model: Callable[[Any], types.Params]
  sharded: Sharded = ()

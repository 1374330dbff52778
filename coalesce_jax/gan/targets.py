"""Targets: what a generator is drawn to, each with a critic of its own.

Shapes: K critics.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import sources


class Target(NamedTuple):
  """One source of samples, or several that draw together.

  Attributes:
    source: what its critics compare the generator with.
    held_out: what the distance is estimated on.
    weight: lambda, a number, or `[count]` for a source that feeds `count`
      critics.
    critic: parameters that its critic starts from, with a leading axis `count`
      where the source feeds several.
    radius: eta, a number or `[count]`, for objectives that need one.
  """

  source: sources.Source
  held_out: sources.Source
  weight: Any
  critic: types.Params
  radius: Any = 0.0


class Stacked(NamedTuple):
  """All targets of a game, as its inputs take them.

  Attributes:
    sources: one a target.
    held_out: one a target.
    weights: `[K]`.
    radii: `[K]`.
    critics: parameters, leaves `[K, ...]`.
  """

  sources: tuple[sources.Source, ...]
  held_out: tuple[sources.Source, ...]
  weights: jax.Array
  radii: jax.Array
  critics: types.Params


def stack(targets: Sequence[Target]) -> Stacked:
  """Returns the targets along one axis of critics.

  Args:
    targets: at least one.
  """

  def numbers(target: Target, value: Any) -> jax.Array:
    return jnp.broadcast_to(
      jnp.asarray(value, jnp.float32), (target.source.count,)
    )

  def critics(target: Target) -> types.Params:
    if target.source.count > 1:
      return target.critic
    return jax.tree.map(lambda leaf: leaf[None], target.critic)

  return Stacked(
    sources=tuple(t.source for t in targets),
    held_out=tuple(t.held_out for t in targets),
    weights=jnp.concatenate([numbers(t, t.weight) for t in targets]),
    radii=jnp.concatenate([numbers(t, t.radius) for t in targets]),
    critics=jax.tree.map(
      lambda *leaves: jnp.concatenate(leaves), *map(critics, targets)
    ),
  )

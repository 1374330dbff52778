"""Describes the targets of a generator, each a source with a critic of its own.

Shapes: K critics.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import sources


class Target(NamedTuple):
  """One target: a source that the generator approaches, and its critics.

  Attributes:
    source: samples that the critics compare with those of the generator.
    held_out: samples that the distance is estimated on.
    weight: lambda, a number, or `[count]` for a source that feeds `count`
      critics.
    critic: initial parameters of the critic, with a leading axis `count` where
      the source feeds several.
    radius: eta, a number or `[count]`, for objectives that need radii.
  """

  source: sources.Source
  held_out: sources.Source
  weight: Any
  critic: types.Params
  radius: Any = 0.0


class Stacked(NamedTuple):
  """All targets of a game, stacked along the axis of critics.

  Attributes:
    sources: one for each target.
    held_out: one for each target.
    weights: `[K]`.
    radii: `[K]`.
    critics: initial parameters, leaves `[K, ...]`.
  """

  sources: tuple[sources.Source, ...]
  held_out: tuple[sources.Source, ...]
  weights: jax.Array
  radii: jax.Array
  critics: types.Params


def stack(targets: Sequence[Target]) -> Stacked:
  """Stacks targets along the axis of critics.

  Args:
    targets: at least one.

  Raises:
    AssertionError: parameters of the critics differ in structure.
  """

  def per_critic(target: Target, value: Any) -> jax.Array:
    return jnp.broadcast_to(
      jnp.asarray(value, jnp.float32), (target.source.count,)
    )

  def critics(target: Target) -> types.Params:
    if target.source.count > 1:
      return target.critic
    return jax.tree.map(lambda leaf: leaf[None], target.critic)

  starts = [critics(target) for target in targets]
  chex.assert_trees_all_equal_structs(starts[0], *starts)
  return Stacked(
    sources=tuple(t.source for t in targets),
    held_out=tuple(t.held_out for t in targets),
    weights=jnp.concatenate([per_critic(t, t.weight) for t in targets]),
    radii=jnp.concatenate([per_critic(t, t.radius) for t in targets]),
    critics=jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *starts),
  )

"""Targets that are made of local samples, alone or pooled with others'.

Shapes: J critics of the local samples, N local samples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.methods import runner


class Local(NamedTuple):
  """What one replica has to make targets of.

  Attributes:
    source: local samples to learn from.
    held_out: local samples to estimate distances on.
    critics: parameters that the J critics of the local samples start from.
    own: parameters that one more critic would start from.
    key: for what else is random.
  """

  source: sources.Source
  held_out: sources.Source
  critics: Sequence[types.Params]
  own: types.Params
  key: types.PRNGKey


# ``(Local, hyperparameters, *args) -> targets`` of one replica.
Targets = Callable[..., tuple[runner.Target, ...]]


def alone(
  local: Local, hyper: Mapping[str, jax.Array], *args: Any
) -> tuple[runner.Target, ...]:
  """Returns the local samples, one target a critic.

  Args:
    local: of one replica.
    hyper: `anchor`, the weight that is left to others.
    *args: not used.
  """
  del args
  weight = (1.0 - hyper['anchor']) / len(local.critics)
  return tuple(
    runner.Target(local.source, local.held_out, weight, critic)
    for critic in local.critics
  )


def pooled(network: types.Network, latent_size: int) -> Targets:
  """Returns a function that mixes local samples with those of generators.

  Its one further argument is a tuple of parameters of the generators.

  Args:
    network: of all of them.
    latent_size: Z.
  """

  def targets(
    local: Local,
    hyper: Mapping[str, jax.Array],
    params: Sequence[types.Params],
  ) -> tuple[runner.Target, ...]:
    others = sources.generators(network, trees.stack(params), latent_size)
    each = jnp.full(others.count, hyper['share'] / others.count)
    weights = jnp.concatenate([1.0 - hyper['share'][None], each])
    pool = sources.pooled((local.source, others), weights)
    return alone(local._replace(source=pool), hyper)

  return targets

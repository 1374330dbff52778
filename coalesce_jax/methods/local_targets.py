"""Makes targets of local samples, alone or mixed with generated samples.

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
  """The local samples and critics of one replica.

  Attributes:
    source: local samples for training.
    held_out: local samples for distance estimates.
    critics: initial parameters of the J critics of the local samples.
    extra_critic: initial parameters of one more critic, for another target.
    key: for further random numbers.
  """

  source: sources.Source
  held_out: sources.Source
  critics: Sequence[types.Params]
  extra_critic: types.Params
  key: types.PRNGKey


# ``(Local, hyperparameters, *args) -> targets`` of one replica.
Targets = Callable[..., tuple[runner.Target, ...]]


def alone(
  local: Local, hyper: Mapping[str, jax.Array], *args: Any
) -> tuple[runner.Target, ...]:
  """Returns the local samples as targets, one for each critic.

  Args:
    local: local samples and critics of one replica.
    hyper: hyperparameters. The weight of these targets is 1 minus `anchor`.
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

  Its last argument is a tuple of the generators' parameters. The mixing
  probability of all generators is the hyperparameter `share`.

  Args:
    network: the network that all generators share.
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

"""Times a round as one program against its nodes one after another.

Shapes: m nodes of a round.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.federated import classifier
from coalesce_jax.federated import rounds
from coalesce_jax.federated import settings
from coalesce_jax.pipeline import federated_data
from coalesce_jax.trials import timing


def measure(
  spec: classifier.Spec,
  how: settings.Config,
  problem: federated_data.Problem,
  count: int,
  stop: Any,
) -> dict[str, Any]:
  """Returns seconds of both ways to compute a round.

  The nodes one after another are a compiled program of one node, without the
  averaging that a round has as well.

  Args:
    spec: the network.
    how: the settings.
    problem: the nodes.
    count: number of timed rounds of each.
    stop: whether a stop was asked for.

  Returns:
    Median seconds `together` and `one_by_one`, and the median of their `ratio`.
  """
  nodes, key = problem.train, jax.random.key(0)
  task = rounds.make(spec, how, problem.shape)
  state = jax.jit(task.init)(key, nodes)
  step = jax.jit(task.step)
  local = jax.jit(
    functools.partial(rounds.local, spec, how, problem.shape, nodes)
  )
  few = min(how.nodes, nodes.counts.shape[0])
  keys = jax.random.split(key, few)

  def together() -> None:
    jax.block_until_ready(step(state, nodes, key))

  def one_by_one() -> None:
    for node in range(few):
      jax.block_until_ready(local(state.meta, jnp.int32(node), keys[node]))

  cases = {'together': together, 'one_by_one': one_by_one}
  spent = timing.interleave(cases, rounds=count, stop=stop)
  return {
    **{name: timing.median(times) for name, times in spent.items()},
    'ratio': timing.ratio(spent['one_by_one'], spent['together']),
    'nodes': few,
  }

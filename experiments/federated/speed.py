"""Times a round: as one program of each kind, node after node, in PyTorch.

Shapes: m nodes of a round.
"""

import dataclasses
import functools
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import rounds
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated
from coalesce_jax.pipeline import federated_data
from coalesce_jax.trials import timing


def measure(
  spec: classifier.Spec,
  how: settings.Config,
  problem: federated_data.Problem,
  count: int,
  stop: Any,
) -> dict[str, Any]:
  """Returns seconds of three ways to compute a round.

  `program` is a round as it is trained with. In `side_by_side` it computes all
  nodes in a `vmap`. `one_by_one` calls a compiled program of one node for each,
  and has no averaging.

  Args:
    spec: the network.
    how: the settings.
    problem: the nodes.
    count: number of timed rounds of each.
    stop: whether a stop was asked for.

  Returns:
    `medians` of seconds of each, and the median `ratios` of the others over
    `program`.
  """
  nodes, key = problem.train, jax.random.key(0)
  state, program = _ours(spec, how, problem)
  whole = dataclasses.replace(how, at_once=how.nodes)
  _, side_by_side = _ours(spec, whole, problem)
  local = jax.jit(
    functools.partial(rounds.local, spec, how, problem.shape, nodes)
  )
  few = min(how.nodes, nodes.counts.shape[0])
  keys = jax.random.split(key, few)

  def one_by_one() -> None:
    for node in range(few):
      done = local(state.step, state.meta, jnp.int32(node), keys[node])
      jax.block_until_ready(done)

  cases: dict[str, timing.Case] = {
    'program': program, 'side_by_side': side_by_side, 'one_by_one': one_by_one,
  }  # fmt: skip
  spent = timing.interleave(cases, rounds=count, stop=stop)
  return {
    'medians': {name: timing.median(times) for name, times in spent.items()},
    'ratios': {
      name: timing.ratio(spent[name], spent['program'])
      for name in ('side_by_side', 'one_by_one')
    },
    'nodes': few,
  }


def _ours(
  spec: classifier.Spec, how: settings.Config, problem: federated_data.Problem
) -> tuple[rounds.State, timing.Case]:
  """Returns a state, and a round from it as one program."""
  task, key = rounds.make(spec, how, problem.shape), jax.random.key(0)
  state = jax.jit(task.init)(key, problem.train)
  step = jax.jit(task.step)
  return state, lambda: jax.block_until_ready(step(state, problem.train, key))


def against_peers(
  spec: classifier.Spec,
  how: settings.Config,
  problem: federated_data.Problem,
  count: int,
  stop: Any,
) -> dict[str, Any]:
  """Compares a round of the dense network with PyTorch's.

  Our round draws its nodes and their tasks; PyTorch's gets tasks that were
  drawn before. Neither augments images.

  Args:
    spec: the network, a 'conv4'; its gates are left out.
    how: the settings.
    problem: the nodes.
    count: number of timed rounds of each.
    stop: whether a stop was asked for.

  Returns:
    Median seconds of `ours` and of each way of `peer.WAYS`, `ratios` of theirs
    over ours, and how far loss and gradients `differ`, relative to ours; {}
    where PyTorch is not installed.
  """
  if not importlib.util.find_spec('torch'):
    return {}
  # PyTorch is an optional dependency.
  import torch  # noqa: PLC0415

  from experiments.federated import peer  # noqa: PLC0415

  spec = dataclasses.replace(spec, gates='none')
  how = dataclasses.replace(
    how, order='backbone', one_step=True, local_steps=1, server='adam',
    augment='', personal_gates=False,
  )  # fmt: skip
  few = min(how.nodes, problem.train.counts.shape[0])
  drawn = evaluation.draw(problem.train, problem.shape, few, 0)
  weights = np.asarray(problem.train.samples[:few])
  weights = weights / weights.sum()
  state, ours = _ours(spec, how, problem)
  nodes, shares = peer.batch(drawn), torch.from_numpy(weights)
  cases: dict[str, timing.Case] = {'ours': ours}
  differ = {}
  for way in peer.WAYS:
    meta = perturbed(state.meta)
    differ[way] = difference(
      peer.Trainer(spec, how, meta, way).gradient(nodes, shares),
      reference(spec, how, meta, drawn, weights),
    )
    trainer = peer.Trainer(spec, how, state.meta, way)
    cases[way] = functools.partial(trainer.round, nodes, shares)
  spent = timing.interleave(cases, rounds=count, stop=stop)
  return {
    'seconds': {name: timing.median(times) for name, times in spent.items()},
    'ratios': {
      way: timing.ratio(spent[way], spent['ours']) for way in peer.WAYS
    },
    'differ': differ,
  }


def perturbed(meta: Any) -> Any:
  """Returns meta-parameters of which none is zero, near others."""
  leaves, tree = jax.tree.flatten(meta)
  random = np.random.default_rng(0)
  return jax.tree.unflatten(tree, [
    leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32)
    for leaf in leaves
  ])  # fmt: skip


def reference(
  spec: classifier.Spec,
  how: settings.Config,
  meta: Any,
  drawn: Any,
  weights: np.ndarray,
) -> tuple[Any, jax.Array]:
  """Returns our weighted mean gradient of tasks `[m, ...]`, and the loss."""

  def loss(meta: Any) -> jax.Array:
    one = functools.partial(meta_lib.objective, spec, how, meta)
    values, _ = jax.vmap(one, (0, None))(drawn, jax.random.key(0))
    return jnp.sum(weights * values)

  value, gradient = jax.jit(jax.value_and_grad(loss))(meta)
  return gradient, value


def difference(theirs: Any, ours: Any) -> float:
  """Returns the largest relative difference of the loss and of any leaf.

  Args:
    theirs: mean gradient and loss of a `peer.Trainer`.
    ours: those of `reference`.
  """
  from experiments.federated import peer  # noqa: PLC0415

  gradient, value = ours
  found = [abs(float(theirs[1]) / float(value) - 1.0)]
  wanted = peer.Meta(
    peer.named(gradient[gated.BACKBONE]),
    peer.named(gradient[meta_lib.RATES][gated.BACKBONE]),
  )
  for tree, other in zip(theirs[0], wanted, strict=True):
    for name, leaf in tree.items():
      size = float(other[name].norm())
      found.append(float((leaf - other[name]).norm()) / max(size, 1e-6))
  return max(found)

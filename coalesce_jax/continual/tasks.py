"""Defines a task of a stream: a problem with a name and an evaluation."""

from collections.abc import Callable, Sequence
import re
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib

_NAME = re.compile(r'[a-z0-9][a-z0-9_.-]{0,59}')


class Task(NamedTuple):
  """One task of a stream.

  Attributes:
    name: lower-case name, for files and tables.
    spec: the generator that it learns, as a file names it.
    network: the network that has the parameters of the problem's generator, and
      takes latents or images alone.
    problem: how a new generator learns it.
    evaluate: ``(network, parameters, held_out) -> scores`` by name, `[]` each,
      lower is better. The first one is the main score. Tasks that share this
      function and the network share a compiled program.
    held_out: data of `evaluate`.
    kept: ``n -> tree``, data that replay keeps of the task for n samples.
    replayed: ``(network, parameters, key, kept, n) -> args`` of the problem,
      made by a generator of the task in place of its data.
    auxiliary: ``(prior, t) -> priors`` for which the generator of earlier tasks
      can teach that of task t. `prior` are draws of the problem's prior.
  """

  name: str
  spec: generator_lib.Spec
  network: types.Network
  problem: problems.Problem
  evaluate: Callable[..., dict[str, jax.Array]]
  held_out: Any
  kept: Callable[[int], Any]
  replayed: Callable[..., tuple[Any, ...]]
  auxiliary: Callable[[Any, int], Sequence[Any]]


def named(name: str) -> str:
  """Returns the name of a task.

  Raises:
    ValueError: it is no lower-case name of at most 60 characters.
  """
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise ValueError(
      f'task name {str(name)[:60]!r}: use lower-case letters, digits, _, . '
      'and -, at most 60'
    )
  return name


def check_network(task: Task, first: types.Network) -> None:
  """Checks that a task has the network of the first one.

  Args:
    task: the task.
    first: network of the first task.

  Raises:
    ValueError: its parameters have other shapes.
  """
  if task.network == first:
    return
  shapes = [
    {name: leaf.shape for name, leaf in trees.flatten(
      jax.eval_shape(network.init, jax.random.key(0))
    ).items()}
    for network in (first, task.network)
  ]  # fmt: skip
  for name in sorted({*shapes[0], *shapes[1]}):
    before, after = (found.get(name, 'missing') for found in shapes)
    if before != after:
      raise ValueError(
        f'task {task.name}: {name} is {after}, in the first task {before}'
      )

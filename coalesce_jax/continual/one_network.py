"""Learners that have one network for all tasks, and what they share.

The network tells latent tasks apart by their codes, see `latent_tasks`, and
tasks of images by the images.

Shapes: S seeds.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from coalesce_jax.continual import fitting
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.training import loop


class State(NamedTuple):
  """The one network, and what it has learned.

  Attributes:
    params: its parameters, None before the first task; leaves `[S, ...]` for
      `[S]` keys.
    tasks: the tasks so far.
    memory: what only learning the next task needs.
  """

  params: types.Params = None
  tasks: tuple[stream.Task, ...] = ()
  memory: Any = ()


# ``(key, state, task, hooks) -> (fitted, memory)``.
Learn = Callable[..., tuple[fitting.Fitted, Any]]


def learner(name: str, learn: Learn) -> stream.Learner:
  """Returns a learner of one network.

  Args:
    name: its name.
    learn: learns a task and returns the memory after it.
  """

  def step(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    if state.tasks:
      tasks_lib.check_network(task, state.tasks[0].network)
    made, memory = learn(keys_lib.typed(key), state, task, hooks)
    tasks = (*state.tasks, task)
    return State(made.latent, tasks, memory), made.history

  def generator(state: State, t: int, task: stream.Task) -> stream.Model:
    del t
    return stream.Model(task.network, state.params)

  def stored(state: State) -> list[Any]:
    return [state.params, *[()] * (len(state.tasks) - 1)]

  return stream.Learner(
    name, State, step, generator, stored, lambda state: state.memory
  )


def fine_tuned(
  key: types.PRNGKey, state: State, task: stream.Task, hooks: loop.Hooks | None
) -> tuple[fitting.Fitted, Any]:
  """Learns a task by training on from the network as it is.

  The first task starts from a new network.

  Args:
    key: one key, or `[S]` keys; consumed.
    state: the network.
    task: the task.
    hooks: effects of the loop.

  Returns:
    The result, and no memory.
  """
  if state.params is None:
    return fitting.fit(key, task.problem, hooks=hooks), ()
  made = fitting.fit(
    key, task.problem, start=fitting.from_given, given=state.params,
    hooks=hooks,
  )  # fmt: skip
  return made, ()


def sequential() -> stream.Learner:
  """Returns the learner that only goes on training, and forgets."""
  return learner('sequential', fine_tuned)

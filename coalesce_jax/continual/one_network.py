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


# ``(key, state, task, hooks) -> fitted``, of a task that is not the first.
Learn = Callable[..., fitting.Fitted]


def learner(
  name: str,
  learn: Learn,
  remember: Callable[..., Any] = lambda key, state, task, fitted: (),
  check: Callable[[stream.Task], Any] = lambda task: None,
) -> stream.Learner:
  """Returns a learner of one network, which starts as a new one.

  Args:
    name: its name.
    learn: learns every task after the first.
    remember: ``(key, state, task, fitted) -> memory`` after each task. The
      state is that before the task.
    check: raises ValueError for a task that cannot be learned, before it is.
  """

  def step(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    key = keys_lib.typed(key)
    check(task)
    if state.tasks:
      tasks_lib.check_network(task, state.tasks[0].network)
      made = learn(key, state, task, hooks)
    else:
      made = fitting.fit(key, task.problem, hooks=hooks)
    memory = remember(key, state, task, made)
    return State(made.latent, (*state.tasks, task), memory), made.history

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
) -> fitting.Fitted:
  """Learns a task by training on from the network as it is.

  Args:
    key: one key, or `[S]` keys; consumed.
    state: the network.
    task: the task.
    hooks: effects of the loop.
  """
  return fitting.fit(
    key, task.problem, start=fitting.from_given, given=state.params,
    hooks=hooks,
  )  # fmt: skip


def sequential() -> stream.Learner:
  """Returns the learner that only goes on training, and forgets."""
  return learner('sequential', fine_tuned)

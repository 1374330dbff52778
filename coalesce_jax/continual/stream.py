"""Learns tasks in order and scores every task after every one.

A `Learner` says how a task is learned after others, and what generator serves
each task. Each task is one stage, so that a work folder resumes between tasks
and inside one.

Shapes: T tasks, S seeds.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.training import loop
from coalesce_jax.training import scan

Task = tasks_lib.Task


class Model(NamedTuple):
  """A generator of a task.

  Attributes:
    network: network from latents, or from images, to samples.
    params: its parameters, leaves `[S, ...]` for `[S]` keys.
  """

  network: types.Network
  params: types.Params


# ``(model or None, task, whether parameters have the axis S) -> scores``, `[]`
# or `[S]` by name, or None.
Score = Callable[[Model | None, Task, bool], dict[str, np.ndarray] | None]


class Learner(NamedTuple):
  """A way to learn tasks in order.

  Attributes:
    name: name of its stages.
    init: ``() -> state`` before the first task.
    learn: ``(key, state, task, hooks) -> (state, history)``. The key is one
      key, or `[S]` keys.
    generator: ``(state, t, task) -> Model or None``, the generator that serves
      task t. None says that the learner has none for a task that it has not
      learned.
    stored: ``state -> trees``, the arrays that were added for each task and
      that serving all tasks needs.
    carried: ``state -> tree``, further arrays that only learning the next task
      needs.
  """

  name: str
  init: Callable[[], Any]
  learn: Callable[..., tuple[Any, loop.History]]
  generator: Callable[[Any, int, Task], Model | None]
  stored: Callable[[Any], Sequence[Any]]
  carried: Callable[[Any], Any] = lambda state: ()


class Result(NamedTuple):
  """What a learner reached.

  Attributes:
    state: the state after the last task.
    scores: `[T, T]` or `[T, T, S]` by name: row i after task i, column j of
      task j. NaN where there is no generator.
    stored: parameters added for each task, `[T]`.
    bytes: their bytes, `[T]`.
    carried: parameters that only learning needs, after each task, `[T]`.
    histories: metrics of each task.
  """

  state: Any
  scores: dict[str, np.ndarray]
  stored: np.ndarray
  bytes: np.ndarray
  carried: np.ndarray
  histories: list[loop.History]


def run(
  key: types.PRNGKey,
  learner: Learner,
  tasks: Sequence[Task],
  hooks: loop.HooksFor | None = None,
  score: Score | None = None,
) -> Result:
  """Learns tasks in order.

  Args:
    key: one key, or `[S]` keys; consumed. Task t has the same random numbers
      with every learner.
    learner: how tasks are learned.
    tasks: T tasks with different names.
    hooks: maps the name of a stage to its effects. The stages are
      '<learner>_1', ..., '<learner>_T'.
    score: scores a generator on a task; None is `evaluate`.

  Raises:
    ValueError: there are no tasks, or two have one name.
  """
  key = keys_lib.typed(key)
  score = evaluate if score is None else score
  names = [task.name for task in tasks]
  if not names or len(set(names)) < len(names):
    raise ValueError(f'tasks {names}: at least one is needed, no name twice')
  state, histories, carried = learner.init(), [], []
  rows: list[list[dict[str, np.ndarray] | None]] = []
  for t, task in enumerate(tasks):
    fold = lambda k, t=t: jax.random.fold_in(k, t)  # noqa: E731
    state, history = learner.learn(
      jax.vmap(fold)(key) if key.ndim else fold(key),
      state,
      task,
      loop.hooks_for(hooks, f'{learner.name}_{t + 1}'),
    )
    histories.append(history)
    carried.append(_count(learner.carried(state))[0] // key.size)
    rows.append([
      score(learner.generator(state, j, other), other, bool(key.ndim))
      for j, other in enumerate(tasks)
    ])  # fmt: skip
  counts = np.array([_count(tree) for tree in learner.stored(state)])
  counts = counts // key.size
  return Result(
    state, _matrices(rows), counts[:, 0], counts[:, 1], np.array(carried),
    histories,
  )  # fmt: skip


def evaluate(
  model: Model | None, task: Task, batched: bool
) -> dict[str, np.ndarray] | None:
  """Returns the scores of a generator on a task, `[]` or `[S]` each.

  Args:
    model: the generator; None has no scores.
    task: the task.
    batched: whether parameters have a leading axis S.
  """
  if model is None:
    return None
  scores = _compiled(task.evaluate, model.network, batched)(
    model.params, task.held_out
  )
  return {name: np.asarray(value) for name, value in scores.items()}


@functools.lru_cache(maxsize=64)
def _compiled(evaluate, network, batched):
  def one(params: types.Params, held_out: Any) -> dict[str, jax.Array]:
    return evaluate(network, params, held_out)

  return scan.once(jax.vmap(one, (0, None)) if batched else one)


def _count(tree: Any) -> tuple[int, int]:
  leaves = jax.tree.leaves(tree)
  return sum(x.size for x in leaves), sum(x.nbytes for x in leaves)


def _matrices(rows):
  found = [cell for row in rows for cell in row if cell is not None]
  return {
    name: np.array(
      [
        [np.full_like(value, np.nan) if c is None else c[name] for c in row]
        for row in rows
      ]
    )
    for name, value in found[0].items()
    if all(name in cell for cell in found)
  }

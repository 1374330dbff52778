"""Runs a task for many steps, with logs, checkpoints and early stopping.

Steps are a compiled scan, and this loop on the host walks over chunks of it.
Replicas of a task (a batch of keys) run as one program. `Hooks` say what
happens between chunks, such as saving, logging and evaluating. This module
therefore touches no file.

Shapes: S replicas, T rows of history.
"""

from collections.abc import Callable
import contextlib
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import errors
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import programs
from coalesce_jax.training import scan
from coalesce_jax.training import schedules
from coalesce_jax.training import task as task_lib

MAX_ROLLBACKS = 3
Interrupted = errors.Interrupted
Diverged = errors.Diverged


class Hooks(NamedTuple):
  """The effects between chunks. By default nothing happens.

  Attributes:
    restore: ``like -> (step, tree) or None``. Returns the newest saved state, a
      tree like the given one.
    save: ``(step, tree)``. Called at the end, when the run is asked to stop,
      and between chunks once `save_seconds` have passed. Saving at the end lets
      an interrupted later stage find this one complete.
    log: ``(step, row)``. Called after each chunk with its mean metrics, as
      NumPy arrays.
    observe: ``(step, parameters)`` of `Task.model`. Called at step 0, every
      `observe_every` steps and at the end, for evaluations.
    scored: ``(step, scores)``. Called after each score of early stopping.
    observe_state: ``(step, state)``. Called just before `observe`.
    stop: returns whether the run shall save and stop.
    progress: ``(step, total)``. Called after each chunk.
    working: ``what -> context``. Entered around what takes long and has no
      steps: the first chunk of each length, which is compiled.
  """

  restore: Callable[[Any], tuple[int, Any] | None] = lambda like: None
  save: Callable[[int, Any], None] = lambda step, tree: None
  log: Callable[[int, dict[str, np.ndarray]], None] = lambda step, row: None
  observe: Callable[[int, Any], None] = lambda step, params: None
  scored: Callable[[int, np.ndarray], None] = lambda step, scores: None
  observe_state: Callable[[int, Any], None] = lambda step, state: None
  stop: Callable[[], bool] = lambda: False
  progress: Callable[[int, int], None] = lambda step, total: None
  working: Callable[[str], contextlib.AbstractContextManager[None]] = (
    lambda what: contextlib.nullcontext()
  )


# Name of a stage -> its effects.
HooksFor = Callable[[str], Hooks]
History = schedules.History
Schedule = schedules.Schedule
chunk_of = schedules.chunk_of
warmup_of = schedules.warmup_of


def hooks_for(hooks: HooksFor | None, name: str) -> Hooks | None:
  """Returns the hooks of a stage, or None.

  Args:
    hooks: maps the name of a stage to its hooks; None is no hooks.
    name: name of the stage.
  """
  return None if hooks is None else hooks(name)


class Result(NamedTuple):
  """The result of a run.

  Attributes:
    state: the last state.
    model: parameters of `Task.model` at the end. With early stopping they are
      those of the best score.
    history: metrics by name, `[T, ...]`, with `step` `[T]`. A resumed run has
      only the rows after it was resumed.
    seconds: wall time of this process, compilation included.
  """

  state: Any
  model: types.Params
  history: History
  seconds: float


def drive(
  task: task_lib.Task,
  state: Any,
  inputs: Any,
  key: types.PRNGKey,
  schedule: Schedule,
  hooks: Hooks | None = None,
  score: Callable[[types.Params], jax.Array] | None = None,
) -> Result:
  """Runs a task to the end of the schedule.

  Args:
    task: the task.
    state: initial state, with a leading axis S if `key` has one.
    inputs: data of the steps, with a leading axis S if `key` has one.
    key: one key, or `[S]` keys for S replicas; consumed.
    schedule: number of steps, and steps between effects.
    hooks: effects between chunks.
    score: ``model -> []`` or `[S]`, lower is better. It is evaluated every
      `schedule.select_every` steps from `schedule.select_after` on, for early
      stopping.

  Returns:
    The result. Its bits do not depend on interruptions of the run.

  Raises:
    Interrupted: `hooks.stop` returned True.
    Diverged: the state was not finite after `MAX_ROLLBACKS` rollbacks.
  """
  programs.forget_many()
  key = keys_lib.typed(key)
  hooks = Hooks() if hooks is None else hooks
  started = saved = time.monotonic()
  select = score is not None and schedule.select_every > 0
  model = scan.each(task.model, bool(key.ndim))
  carry = {
    'state': state,
    'best': model(state) if select else (),
    'best_score': jnp.full(key.shape, jnp.inf),
    'stale': jnp.zeros(key.shape, jnp.int32),
    'rollbacks': jnp.int32(0),
  }
  done = 0
  restored = hooks.restore(carry)
  if restored is not None:
    done, carry = restored

  def observe() -> None:
    hooks.observe_state(done, carry['state'])
    hooks.observe(done, model(carry['state']))

  if not done:
    observe()
  rows: list[dict[str, np.ndarray]] = []
  lengths: set[int] = set()  # Of the chunks that are compiled.
  mesh = mesh_lib.current()
  if mesh is not None:
    carry, inputs, key = mesh_lib.place(
      (carry, inputs, key), mesh, bool(key.ndim), task.sharded
    )
  chunk = scan.compiled(
    task, bool(key.ndim), mesh, schedule.at_once, schedule.fast_compile
  )
  while done < schedule.steps:
    if select and bool(jnp.all(carry['stale'] >= schedule.patience)):
      logging.info('early stopping at step %d', done)
      break
    n = min(schedule.chunk, schedule.steps - done)
    attempt = _attempt(key, int(carry['rollbacks']))
    new = n not in lengths
    lengths.add(n)
    what = f'compiling, then {n} of {schedule.steps} steps'
    with hooks.working(what) if new else contextlib.nullcontext():
      after, metrics, finite = chunk(carry['state'], inputs, attempt, n)
      ended = bool(finite)
    if not ended:
      carry['rollbacks'] = carry['rollbacks'] + 1
      _roll_back(int(carry['rollbacks']), done, after, metrics)
      continue
    carry = {**carry, 'state': after}
    done += n
    row = {k: np.asarray(v) for k, v in metrics.items()}
    rows.append({'step': np.asarray(done), **row})
    hooks.log(done, row)
    hooks.progress(done, schedule.steps)
    scoring = select and done >= schedule.select_after
    if scoring and done % schedule.select_every == 0:
      assert score is not None
      now = model(after)
      value = score(now)
      carry = {**carry, **_select(carry, now, value)}
      hooks.scored(done, np.asarray(value))
    last = done == schedule.steps
    due = schedule.observe_every and done % schedule.observe_every == 0
    if due or last:
      observe()
    stopping = hooks.stop()
    if stopping or last or time.monotonic() - saved > schedule.save_seconds:
      hooks.save(done, carry)
      saved = time.monotonic()
    if stopping and not last:
      raise Interrupted(f'saved at step {done} of {schedule.steps}')
  best = model(carry['state'])
  if select:
    best = _where(carry['best_score'] < jnp.inf, carry['best'], best)
  history = {
    name: np.stack([row[name] for row in rows]) for name in (rows or [{}])[0]
  }
  return Result(carry['state'], best, history, time.monotonic() - started)


def _attempt(key: types.PRNGKey, rollbacks: int) -> types.PRNGKey:
  """Returns the key of the run, another one after each rollback."""
  if not rollbacks:
    return key
  fold = lambda k: jax.random.fold_in(k, 0x7FFFFFFF - rollbacks)  # noqa: E731
  return jax.vmap(fold)(key) if key.ndim else fold(key)


def _roll_back(count: int, done: int, after: Any, metrics: Any) -> None:
  """Logs a rollback, or raises `Diverged` after the last one."""
  bad = [
    name
    for name, leaf in trees.flatten(after).items()
    if jnp.issubdtype(leaf.dtype, jnp.inexact)
    and not bool(jnp.all(jnp.isfinite(leaf)))
  ]
  last = {k: np.asarray(v).tolist() for k, v in metrics.items()}
  if count > MAX_ROLLBACKS:
    raise Diverged(
      f'not finite after step {done}, {MAX_ROLLBACKS} rollbacks did not help; '
      f'first bad leaves {bad[:3]}; mean metrics {last}. '
      'Lower the learning rate.'
    )
  logging.warning(
    'not finite after step %d (%s): rolled back, other random numbers '
    '(%d of %d)', done, ', '.join(bad[:3]), count, MAX_ROLLBACKS
  )  # fmt: skip


def _select(
  carry: dict[str, Any], model: types.Params, value: jax.Array
) -> dict[str, Any]:
  """Keeps the model of the lowest score of each replica."""
  value = jnp.asarray(value, jnp.float32)
  better = value < carry['best_score']
  return {
    'best': _where(better, model, carry['best']),
    'best_score': jnp.where(better, value, carry['best_score']),
    'stale': jnp.where(better, 0, carry['stale'] + 1),
  }


def _where(mask: jax.Array, a: Any, b: Any) -> Any:
  def pick(x, y):
    shape = mask.shape + (1,) * (x.ndim - mask.ndim)
    return jnp.where(mask.reshape(shape), x, y)

  return jax.tree.map(pick, a, b)

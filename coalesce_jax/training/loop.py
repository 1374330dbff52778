"""The loop: runs any task for many steps, with logs, checkpoints, stops.

The loop over steps is a compiled scan; this host loop walks over chunks of it.
Replicas of a task (a batch of keys) run as one program. What a caller does at
chunk boundaries, such as saving, logging and evaluating, comes in as `Hooks`,
so that this module touches no file.

Shapes: S replicas, T rows of history.
"""

from collections.abc import Callable
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import scan
from coalesce_jax.training import schedules
from coalesce_jax.training import task as task_lib

MAX_ROLLBACKS = 3


class Interrupted(Exception):
  """The run was asked to stop; its state is saved."""


class Diverged(RuntimeError):
  """Parameters became NaN or infinite again after every rollback."""


class Hooks(NamedTuple):
  """What happens at chunk boundaries; the defaults do nothing.

  Attributes:
    restore: ``like -> (step, tree) or None``, the newest saved progress.
    save: ``(step, tree)``, after `save_seconds`, when asked to stop, and at
      the end, so that a later stage that is interrupted finds this one done.
    log: ``(step, row)``, mean metrics of one chunk as NumPy arrays.
    observe: ``(step, parameters)`` of `Task.model`, at step 0, every
      `observe_every` steps and at the end.
    observe_state: ``(step, state)``, likewise and before it.
    stop: whether to save and stop now.
    progress: ``(step, total)``.
  """

  restore: Callable[[Any], tuple[int, Any] | None] = lambda like: None
  save: Callable[[int, Any], None] = lambda step, tree: None
  log: Callable[[int, dict[str, np.ndarray]], None] = lambda step, row: None
  observe: Callable[[int, Any], None] = lambda step, params: None
  observe_state: Callable[[int, Any], None] = lambda step, state: None
  stop: Callable[[], bool] = lambda: False
  progress: Callable[[int, int], None] = lambda step, total: None


# Name of a stage -> its effects.
HooksFor = Callable[[str], Hooks]
History = schedules.History
Schedule = schedules.Schedule
chunk_of = schedules.chunk_of
warmup_of = schedules.warmup_of


def hooks_for(hooks: HooksFor | None, name: str) -> Hooks | None:
  """Returns the effects of a stage, None for none."""
  return None if hooks is None else hooks(name)


class Result(NamedTuple):
  """What a run returns.

  Attributes:
    state: the last state.
    model: parameters of `Task.model`; with early stopping those of the best
      score.
    history: metrics by name, `[T, ...]`, with `step` `[T]`. A resumed run has
      the rows since it was resumed.
    seconds: wall time of this process's share, compilation included.
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
    task: what learns.
    state: the start; leading axis S where `key` has one.
    inputs: data of the steps, likewise.
    key: one key, or `[S]` keys for S replicas; consumed.
    schedule: how long.
    hooks: effects at chunk boundaries.
    score: ``model -> []`` or `[S]`, lower is better; for early stopping by
      `schedule.select_every`.

  Returns:
    `Result`; the same bits whether or not it was interrupted and resumed.

  Raises:
    Interrupted: `hooks.stop` said so.
    Diverged: see `MAX_ROLLBACKS`.
  """
  hooks = Hooks() if hooks is None else hooks
  began = saved = time.monotonic()
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
  mesh = mesh_lib.current()
  if mesh is not None:
    carry, inputs, key = mesh_lib.place(
      (carry, inputs, key), mesh, bool(key.ndim), task.sharded
    )
  chunk = scan.compiled(task, bool(key.ndim), mesh, schedule.at_once)
  while done < schedule.steps:
    if select and bool(jnp.all(carry['stale'] >= schedule.patience)):
      logging.info('early stopping at step %d', done)
      break
    n = min(schedule.chunk, schedule.steps - done)
    attempt = _attempt(key, int(carry['rollbacks']))
    after, metrics, finite = chunk(carry['state'], inputs, attempt, n)
    if not bool(finite):
      carry['rollbacks'] = carry['rollbacks'] + 1
      _roll_back(int(carry['rollbacks']), done, after, metrics)
      continue
    carry = {**carry, 'state': after}
    done += n
    row = {k: np.asarray(v) for k, v in metrics.items()}
    rows.append({'step': np.asarray(done), **row})
    hooks.log(done, row)
    hooks.progress(done, schedule.steps)
    if select and done % schedule.select_every == 0:
      assert score is not None
      now = model(after)
      carry = {**carry, **_select(carry, now, score(now))}
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
  return Result(carry['state'], best, history, time.monotonic() - began)


def _attempt(key: types.PRNGKey, rollbacks: int) -> types.PRNGKey:
  """The run's key; another one after each rollback."""
  if not rollbacks:
    return key
  fold = lambda k: jax.random.fold_in(k, 0x7FFFFFFF - rollbacks)  # noqa: E731
  return jax.vmap(fold)(key) if key.ndim else fold(key)


def _roll_back(count: int, done: int, after: Any, metrics: Any) -> None:
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
  """Keeps, replica by replica, the model of the lowest score."""
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

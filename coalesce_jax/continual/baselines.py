"""Learners to compare with: separate networks, and one network for all tasks.

| learner | a new task |
|---|---|
| standalone | trains a new network |
| sequential | goes on training the one network, and forgets |
| l2, ewc | holds it near its parameters, where they matter |
| distillation | has it imitate itself on auxiliary inputs (Lifelong GAN) |
| replay | trains on samples of the earlier generator as well |
| joint | trains a new network on the data of all tasks so far |

One network tells latent tasks apart by their codes, see `tasks.latents`, and
tasks of images by the images.

Shapes: S seeds, N samples.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.continual import fitting
from coalesce_jax.continual import joined
from coalesce_jax.continual import stream
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import problems
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.transforms import consolidation


class State(NamedTuple):
  """The networks of all tasks, or the one network.

  Attributes:
    params: parameters of each network; leaves `[S, ...]` for `[S]` keys.
    tasks: the tasks so far.
    memory: what only learning the next task needs.
    batched: whether leaves have the axis S.
  """

  params: tuple[types.Params, ...] = ()
  tasks: tuple[stream.Task, ...] = ()
  memory: Any = ()
  batched: bool = False


def standalone() -> stream.Learner:
  """Returns the learner of a new network for each task."""

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    made = fitting.fit(key, task.problem, hooks=hooks)
    params = (*state.params, made.latent)
    return state._replace(params=params), made.history

  def generator(state: State, t: int, task: stream.Task) -> stream.Model | None:
    if t >= len(state.params):
      return None
    return stream.Model(task.spec.build(), state.params[t])

  return stream.Learner(
    'standalone', State, learn, generator, lambda state: state.params
  )


def sequential() -> stream.Learner:
  """Returns the learner that only goes on training."""
  return _one_network('sequential', _fine_tuned)


def joint() -> stream.Learner:
  """Returns the learner of all data so far, which it keeps."""

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[fitting.Fitted, Any]:
    parts = [one.problem for one in (*state.tasks, task)]
    made = fitting.fit(key, joined.joined(parts), hooks=hooks)
    data = problems.for_seeds([part.args for part in parts], key)
    return made, data

  return _one_network('joint', learn)


def l2(weight: float = 1.0) -> stream.Learner:
  """Returns the learner that stays near the parameters before the task.

  Args:
    weight: w of `transforms.consolidation`.
  """

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[fitting.Fitted, Any]:
    if not state.params:
      return _fine_tuned(key, state, task, hooks)
    ones = jax.tree.map(jnp.ones_like, state.params[0])
    return _consolidated(key, state, task, hooks, ones, weight), ()

  return _one_network('l2', learn)


def ewc(weight: float = 1.0, samples: int = 256) -> stream.Learner:
  """Returns the learner of elastic weight consolidation.

  The score of a sample is that of the task's critic. Importances are divided by
  their mean over each leaf and summed over tasks.

  Args:
    weight: w of `transforms.consolidation`.
    samples: N, on which importances are estimated.
  """

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[fitting.Fitted, Any]:
    if not state.params:
      made, _ = _fine_tuned(key, state, task, hooks)
    else:
      made = _consolidated(key, state, task, hooks, state.memory, weight)
    found = importance(key, task.problem, made, samples)
    if state.params:
      found = jax.tree.map(jnp.add, state.memory, found)
    return made, found

  return _one_network('ewc', learn)


def distillation(weight: float = 10.0) -> stream.Learner:
  """Returns the learner that imitates itself on auxiliary inputs.

  The term is the mean absolute difference to the network before the task.

  Args:
    weight: multiplies it.
  """

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[fitting.Fitted, Any]:
    if not state.params:
      return _fine_tuned(key, state, task, hooks)
    term = imitation(
      task.problem.method.generator, task.auxiliary, len(state.tasks), weight
    )
    made = fitting.fit(
      key, task.problem, start=fitting.from_given, given=state.params[0],
      terms=(term,), data=lambda teacher: {term.name: teacher}, hooks=hooks,
    )  # fmt: skip
    return made, ()

  return _one_network('distillation', learn)


def replay(samples: int = 256) -> stream.Learner:
  """Returns the learner that trains on its earlier samples as well.

  The samples of each earlier task are made once, before the new task. Shin et
  al., "Continual learning with deep generative replay",
  https://arxiv.org/abs/1705.08690.

  Args:
    samples: N of each earlier task. Of a task of images so many conditions are
      kept.
  """

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[fitting.Fitted, Any]:
    kept = (*state.memory, problems.for_seeds(task.kept(samples), key))
    if not state.params:
      return _fine_tuned(key, state, task, hooks)[0], kept
    parts, args = [], []
    for old, memory in zip(state.tasks, state.memory, strict=True):
      make = functools.partial(old.replayed, old.spec.build(), n=samples)
      index = 3 + len(parts)

      def made(key, params, memory, make=make, index=index):
        return make(params, jax.random.fold_in(key, index), memory)

      each = jax.vmap(made) if key.ndim else made
      parts.append(old.problem)
      args.append(scan.once(each)(key, state.params[0], memory))
    problem = joined.joined([*parts, task.problem])
    fitted = fitting.fit(
      key, problem, start=fitting.from_given, given=state.params[0],
      args=(*args, problems.for_seeds(task.problem.args, key)), hooks=hooks,
    )  # fmt: skip
    return fitted, kept

  return _one_network('replay', learn)


@functools.lru_cache(maxsize=64)
def imitation(
  network: types.Network,
  auxiliary: Callable[[Any, int], Any],
  t: int,
  weight: float,
) -> terms_lib.Term:
  """Returns the distance to an earlier generator on auxiliary inputs.

  Its data, 'imitation', are the parameters of that generator.

  Args:
    network: network of the generator.
    auxiliary: see `tasks.Task`.
    t: index of the task.
    weight: multiplies the mean absolute difference.
  """

  def loss(
    params: types.Params, batch: terms_lib.Batch, teacher: Any
  ) -> jax.Array:
    losses = []
    for inputs in auxiliary(batch.prior, t):
      target = jax.lax.stop_gradient(network.apply(teacher, inputs))
      losses.append(jnp.mean(jnp.abs(network.apply(params, inputs) - target)))
    return weight * jnp.mean(jnp.stack(losses))

  return terms_lib.Term(loss, 'imitation')


def importance(
  key: types.PRNGKey,
  problem: problems.Problem,
  fitted: fitting.Fitted,
  samples: int,
) -> types.Params:
  """Returns the importance of parameters for a task that was learned.

  Args:
    key: one key, or `[S]` keys; consumed.
    problem: the task's problem.
    fitted: its result. The first critic scores samples.
    samples: N.

  Returns:
    Importances, leaves `[S, ...]` for `[S]` keys.
  """
  key = keys_lib.typed(key)
  method = problem.method
  hyper = {k: jnp.float32(v) for k, v in problem.hyper.items()}

  def one(key, params, critic, args):
    key_setup, key_draw = jax.random.split(jax.random.fold_in(key, 2))
    prior = problem.setup(key_setup, hyper, *args).prior
    if prior is None:
      prior = sources.normal(method.latent_size)
    drawn = sources.draw_one(prior, key_draw, samples)

    def score(params, inputs):
      inputs = jax.tree.map(lambda leaf: leaf[None], inputs)
      made = method.generator.apply(params, inputs)
      seen = made if method.view is None else method.view(inputs, made)
      return jnp.mean(method.critic.apply(critic, seen))

    found = consolidation.fisher(score, params, drawn)
    return consolidation.normalised(found)

  each = jax.vmap(one) if key.ndim else one
  args = problems.for_seeds(problem.args, key)
  return scan.once(each)(key, fitted.latent, fitted.critics[0], args)


# ``(key, state, task, hooks) -> (fitted, memory)``.
_Learn = Callable[..., tuple[fitting.Fitted, Any]]


def _one_network(name: str, learn: _Learn) -> stream.Learner:
  def step(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    key = keys_lib.typed(key)
    made, memory = learn(key, state, task, hooks)
    tasks = (*state.tasks, task)
    state = State((made.latent,), tasks, memory, bool(key.ndim))
    return state, made.history

  def generator(state: State, t: int, task: stream.Task) -> stream.Model:
    del t
    return stream.Model(task.spec.build(), state.params[0])

  def stored(state: State) -> list[Any]:
    return [*state.params, *[()] * (len(state.tasks) - 1)]

  return stream.Learner(
    name, State, step, generator, stored, lambda state: state.memory
  )


def _fine_tuned(
  key: types.PRNGKey, state: State, task: stream.Task, hooks: loop.Hooks | None
) -> tuple[fitting.Fitted, Any]:
  if not state.params:
    return fitting.fit(key, task.problem, hooks=hooks), ()
  made = fitting.fit(
    key, task.problem, start=fitting.from_given, given=state.params[0],
    hooks=hooks,
  )  # fmt: skip
  return made, ()


def _consolidated(key, state, task, hooks, importances, weight):
  def start(
    key: types.PRNGKey, params: types.Params, given: Any
  ) -> tuple[Any, Any]:
    del key, params
    anchor, importances = given
    return anchor, consolidation.Memory(
      anchor, importances, jnp.float32(weight)
    )

  return fitting.fit(
    key, task.problem, start=start, given=(state.params[0], importances),
    reparam=consolidation.REPARAM, hooks=hooks,
  )  # fmt: skip

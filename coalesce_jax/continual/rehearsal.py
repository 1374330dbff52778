"""One network that rehearses earlier tasks while it learns a new one.

| learner | rehearses |
|---|---|
| replay | samples that it made before the task |
| distillation | its own answers to auxiliary inputs (Lifelong GAN) |
| joint | all data of all tasks, which it keeps |

Shapes: S seeds, N samples.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.continual import fitting
from coalesce_jax.continual import joined
from coalesce_jax.continual import one_network
from coalesce_jax.continual import stream
from coalesce_jax.core import types
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import problems
from coalesce_jax.training import loop
from coalesce_jax.training import scan


def joint() -> stream.Learner:
  """Returns the learner of all data so far, which it keeps."""

  def learn(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> fitting.Fitted:
    parts = [one.problem for one in (*state.tasks, task)]
    return fitting.fit(key, joined.joined(parts), hooks=hooks)

  def remember(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    fitted: fitting.Fitted,
  ) -> Any:
    del fitted
    data = [one.problem.args for one in (*state.tasks, task)]
    return problems.for_seeds(data, key)

  return one_network.learner('joint', learn, remember)


def distillation(weight: float = 10.0) -> stream.Learner:
  """Returns the learner that imitates itself on auxiliary inputs.

  The term is the mean absolute difference to the network before the task.

  Args:
    weight: multiplies it.
  """

  def learn(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> fitting.Fitted:
    term = imitation(
      task.problem.method.generator, task.auxiliary, len(state.tasks), weight
    )
    return fitting.fit(
      key, task.problem, start=fitting.from_given, given=state.params,
      terms=(term,), data=lambda teacher: {term.name: teacher}, hooks=hooks,
    )  # fmt: skip

  return one_network.learner('distillation', learn)


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
    state: one_network.State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> fitting.Fitted:
    parts: list[problems.Problem] = []
    args: list[Any] = []
    for old, memory in zip(state.tasks, state.memory, strict=True):
      make = functools.partial(old.replayed, old.network, n=samples)
      index = 3 + len(parts)

      def made(key, params, memory, make=make, index=index):
        return make(params, jax.random.fold_in(key, index), memory)

      each = jax.vmap(made) if key.ndim else made
      parts.append(old.problem)
      args.append(scan.once(each)(key, state.params, memory))
    problem = joined.joined([*parts, task.problem])
    return fitting.fit(
      key, problem, start=fitting.from_given, given=state.params,
      args=(*args, problems.for_seeds(task.problem.args, key)), hooks=hooks,
    )  # fmt: skip

  def remember(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    fitted: fitting.Fitted,
  ) -> Any:
    del fitted
    return (*state.memory, problems.for_seeds(task.kept(samples), key))

  return one_network.learner(
    'replay', learn, remember, lambda task: task.kept(samples)
  )


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
      far = jax.tree.map(
        lambda a, b: jnp.mean(jnp.abs(a - b)),
        network.apply(params, inputs), target,
      )  # fmt: skip
      losses.extend(jax.tree.leaves(far))
    return weight * jnp.mean(jnp.stack(losses))

  return terms_lib.Term(loss, 'imitation')

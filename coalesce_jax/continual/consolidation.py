"""One network that is held near its parameters, where they matter.

Shapes: S seeds, N samples.
"""

from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.continual import fitting
from coalesce_jax.continual import one_network
from coalesce_jax.continual import stream
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.methods import problems
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.transforms import consolidation


def l2(weight: float = 1.0) -> stream.Learner:
  """Returns the learner that stays near the parameters before the task.

  Args:
    weight: w of `transforms.consolidation`.
  """

  def learn(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> fitting.Fitted:
    ones = jax.tree.map(jnp.ones_like, state.params)
    return _consolidated(key, state, task, hooks, ones, weight)

  return one_network.learner('l2', learn)


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
    state: one_network.State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> fitting.Fitted:
    return _consolidated(key, state, task, hooks, state.memory, weight)

  def remember(
    key: types.PRNGKey,
    state: one_network.State,
    task: stream.Task,
    fitted: fitting.Fitted,
  ) -> types.Params:
    found = importance(key, task.problem, fitted, samples)
    if not state.tasks:
      return found
    return jax.tree.map(jnp.add, state.memory, found)

  return one_network.learner('ewc', learn, remember)


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
    fitted: its result. Its critic scores samples.
    samples: N.

  Returns:
    Importances, leaves `[S, ...]` for `[S]` keys.

  Raises:
    ValueError: the problem has several critics.
  """
  if len(fitted.critics) > 1:
    raise ValueError(
      f'importances ask one critic, and this problem has {len(fitted.critics)}'
    )
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
    key, task.problem, start=start, given=(state.params, importances),
    reparam=consolidation.REPARAM, hooks=hooks,
  )  # fmt: skip

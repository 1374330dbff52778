"""The learner of a separate network for each task.

Shapes: S seeds.
"""

from coalesce_jax.continual import fitting
from coalesce_jax.continual import stream
from coalesce_jax.core import types
from coalesce_jax.training import loop

# Parameters of each network; leaves `[S, ...]` for `[S]` keys.
State = tuple[types.Params, ...]


def standalone() -> stream.Learner:
  """Returns the learner of a new network for each task."""

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    made = fitting.fit(key, task.problem, hooks=hooks)
    return (*state, made.latent), made.history

  def generator(state: State, t: int, task: stream.Task) -> stream.Model | None:
    if t >= len(state):
      return None
    return stream.Model(task.network, state[t])

  return stream.Learner(
    'standalone', tuple, learn, generator, lambda state: state
  )

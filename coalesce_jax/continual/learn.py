"""Learns a family of generators, or one more task of it, in one call.

Shapes: S seeds.
"""

from collections.abc import Sequence
from typing import Any

from coalesce_jax.continual import family as family_lib
from coalesce_jax.continual import piggyback_learner
from coalesce_jax.continual import settings
from coalesce_jax.continual import stream
from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.training import loop


def piggyback(
  key: types.PRNGKey,
  tasks: Sequence[tasks_lib.Task],
  *,
  hooks: loop.HooksFor | None = None,
  part: str = '',
  **options: Any,
) -> tuple[family_lib.Family, stream.Result]:
  """Learns tasks in order by Piggyback GAN.

  Args:
    key: one key; consumed. `stream.run` takes those of several seeds.
    tasks: tasks with different names, of one network.
    hooks: maps the name of a stage to its effects.
    part: see `family.from_state`; 'ab' for tasks without pairs.
    **options: fields of `settings.Piggyback`, such as `share`, which is lambda.

  Returns:
    The family with a member for each task, and the scores of every task after
    every one.

  Raises:
    ValueError: an option is out of range, or see `stream.run`.
  """
  key = keys_lib.typed(key, 0)
  config = settings.Piggyback(**options)
  if config.bank == 'random':
    raise ValueError(
      "bank 'random' is a control, of which no family can be kept: take "
      '`stream.run`'
    )
  learner = piggyback_learner.learner(config)
  result = stream.run(key, learner, tasks, hooks)
  made = family_lib.from_state(result.state, tasks, part=part)
  return made, result


def grow(
  key: types.PRNGKey,
  family: family_lib.Family,
  task: tasks_lib.Task,
  *,
  hooks: loop.HooksFor | None = None,
  **options: Any,
) -> tuple[family_lib.Member, loop.History]:
  """Learns one more task with the bank of a family, which stays as it is.

  `family_files.add` writes the member to the file of the family.

  Args:
    key: one key; consumed. To continue `piggyback`, it is the key of that run
      folded with the number of members.
    family: the family.
    task: a task of the same network whose name is not in the family.
    hooks: maps the name of a stage to its effects. The stage is 'piggyback_T'
      with T the number of members after the task.
    **options: fields of `settings.Piggyback`.

  Returns:
    The new member, and the history.

  Raises:
    ValueError: the family has a member of this name, or other layers; an option
      is out of range.
  """
  config = settings.Piggyback(**options)
  check(family, task, config)
  state = family_lib.as_state(family)
  learner = piggyback_learner.learner(config)
  stage = f'{learner.name}_{len(family.members) + 1}'
  state, history = learner.learn(
    keys_lib.typed(key, 0), state, task, loop.hooks_for(hooks, stage)
  )
  return family_lib.Member(task.name, task.spec, state.latents[-1]), history


def check(
  family: family_lib.Family, task: tasks_lib.Task, config: settings.Piggyback
) -> None:
  """Checks that a family can learn a task, before anything is trained.

  Raises:
    ValueError: the family has a member of this name, or other layers.
  """
  named(family, task.name)
  state = family_lib.as_state(family)
  rules = piggyback_learner.shares(config, task, state)
  found = piggyback_learner.layers(task, rules)
  bank = {
    name: leaf.shape[:-1] for name, leaf in trees.flatten(state.bank).items()
  }
  if set(found) != set(bank):
    raise ValueError(
      f'task {task.name}: its settings factorise {sorted(found)}, the family '
      f'{sorted(bank)}'
    )
  for name, shape in found.items():
    if shape[:-1] != bank[name]:
      raise ValueError(
        f'task {task.name}: {name} is {shape}, which does not fit filters '
        f'{bank[name]} of the family'
      )


def named(family: family_lib.Family, name: str) -> str:
  """Returns the name of a new member.

  Raises:
    ValueError: it is no name, or the family has a member of it.
  """
  names = [member.name for member in family.members]
  if tasks_lib.named(name) in names:
    raise ValueError(
      f'the family has a member {name!r} already; give the task another name'
    )
  return name

"""Families of generators that share a bank of filters.

The bank is the free filters of all members, in order. A member is its latent
parameters, see `transforms.piggyback`. Members never change when others join.

Shapes: T members, N filters of the bank.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import piggyback_learner as learner
from coalesce_jax.continual import tasks
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator
from coalesce_jax.transforms import piggyback


class Member(NamedTuple):
  """One task of a family.

  Attributes:
    name: its name.
    spec: spec of its network, without critic and encodings.
    latent: latent parameters, NumPy arrays.
  """

  name: str
  spec: generator_lib.Spec
  latent: Any


class Family(NamedTuple):
  """Generators that share a bank.

  Attributes:
    members: the members, in the order in which they joined.
    layers: names of the factorised leaves.
  """

  members: tuple[Member, ...]
  layers: tuple[str, ...]

  def bank(self, count: int | None = None) -> types.Params:
    """Returns the bank after the first members, leaves `[..., N]`.

    Args:
      count: number of members; None is all.
    """
    first, *_ = latents = [member.latent for member in self.members]
    return piggyback.bank_of(latents[:count], self.layers, first)

  def generator(self, which: int | str) -> translator.Model:
    """Returns the generator or translator of a member, as bundles hold it.

    Args:
      which: index or name of the member.

    Raises:
      ValueError: there is no such member.
    """
    index = self.find(which)
    member = self.members[index]
    params = piggyback.apply_exactly(member.latent, self.bank(index))
    params = jax.tree.map(jnp.asarray, params)
    return translator.create(member.spec, params)

  def find(self, which: int | str) -> int:
    """Returns the index of a member.

    Raises:
      ValueError: there is no such member.
    """
    names = [member.name for member in self.members]
    found = names.index(which) if which in names else which
    if not isinstance(found, int) or not 0 <= found < len(names):
      raise ValueError(f'no member {which!r}, there are {names}')
    return found


def from_state(
  state: learner.State,
  learned: Sequence[tasks.Task],
  seed: int | None = None,
  part: str = '',
) -> Family:
  """Returns the family of the tasks that `piggyback_learner` has learned.

  Args:
    state: state of the learner.
    learned: its tasks, in order.
    seed: index of the seed; None is the only one.
    part: branch of the parameters that is the network of the spec, such as 'ab'
      of a CycleGAN. The empty string is all.

  Raises:
    ValueError: the numbers of tasks differ, a seed is missing or too many, or
      the bank is random.
  """
  if state.batched != (seed is not None):
    what = 'needs the index of' if state.batched else 'has one state, not'
    raise ValueError(f'the family {what} a seed')
  if len(learned) != len(state.latents):
    raise ValueError(
      f'{len(learned)} tasks for {len(state.latents)} learned ones'
    )
  latents = jax.tree.map(np.asarray, state.latents)
  if seed is not None:
    latents = tuple(trees.member(latent, seed) for latent in latents)
  bank = state.bank
  if part:
    latents = tuple(latent[part] for latent in latents)
    bank = bank[part]
  members = tuple(
    Member(task.name, task.spec, latent)
    for task, latent in zip(learned, latents, strict=True)
  )
  made = Family(members, tuple(trees.flatten(bank)))
  held = trees.flatten(trees.member(bank, seed) if seed is not None else bank)
  for name, leaf in trees.flatten(made.bank()).items():
    if not np.array_equal(leaf, held[name]):
      raise ValueError(
        f'{name}: the bank is not made of what the tasks learned (a random '
        'bank is a control, of which no family can be kept)'
      )
  return made


def as_state(family: Family) -> learner.State:
  """Returns the state with which `piggyback_learner` learns another.

  Inverts `from_state` of one seed. `learner.learn(key, state, task, hooks)`
  then gives a state whose family has one more member.

  Args:
    family: the family.
  """
  latents = tuple(
    jax.tree.map(jnp.asarray, member.latent) for member in family.members
  )
  return learner.State(latents, jax.tree.map(jnp.asarray, family.bank()))

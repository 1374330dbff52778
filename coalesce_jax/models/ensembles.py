"""Generators of S members, kept as one bundle a member.

Shapes: S members.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.models import generator as generator_lib


def count(made: generator.Generator) -> int:
  """S."""
  return int(jax.tree.leaves(made.params)[0].shape[0])


def member(made: generator.Generator, index: int) -> generator.Generator:
  """One member alone."""
  critic = made.critic
  return made._replace(
    params=trees.member(made.params, index),
    critic=None if critic is None else trees.member(critic, index),
  )


def path(folder: pathlib.Path, name: str, index: int) -> pathlib.Path:
  """The bundle of a member."""
  return folder / f'{name}_s{index}.safetensors'


def write(
  folder: pathlib.Path,
  name: str,
  made: generator.Generator,
  provenance: Mapping[str, str],
) -> None:
  """One bundle a member, with its number in the provenance."""
  for s in range(count(made)):
    one = member(made, s)
    spec = dataclasses.replace(
      one.spec, provenance={**provenance, 'member': str(s)}
    )
    bundle.save(path(folder, name, s), one._replace(spec=spec))


def read(folder: pathlib.Path, name: str, size: int) -> generator.Generator:
  """The first `size` members of what `write` kept, as one generator."""
  return batched([bundle.load(path(folder, name, s)) for s in range(size)])


def batched(members: Sequence[generator.Generator]) -> generator.Generator:
  """One generator with a leading axis S from one a member."""
  critics = [m.critic for m in members]
  has_critic = all(c is not None for c in critics)
  return members[0]._replace(
    params=trees.stack([m.params for m in members]),
    critic=trees.stack(critics) if has_critic else None,
  )


def first_critic(critics: Any, batched: bool) -> Any:
  """Critic 0 of a final state, with the ensemble axis kept."""
  index = (lambda c: c[:, 0]) if batched else (lambda c: c[0])
  return jax.tree.map(index, critics)


def stacked(
  members: list[generator_lib.Generator], batched: bool, field: str = 'params'
) -> Any:
  """Parameters of K generators along an axis K, after S where batched."""
  tree = trees.stack([getattr(m, field) for m in members])
  if not batched:
    return tree
  return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)

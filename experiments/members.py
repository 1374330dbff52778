"""Generators of S members, kept as one bundle a member.

Shapes: S members.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from coalesce_jax import bundles
from coalesce_jax import generators
from coalesce_jax import trees
from coalesce_jax.metrics import evaluate


def count(made: generators.Generator) -> int:
  """S."""
  return int(jax.tree.leaves(made.params)[0].shape[0])


def member(made: generators.Generator, index: int) -> generators.Generator:
  """One member alone."""
  critic = made.critic
  return made._replace(
    params=trees.member(made.params, index),
    critic=None if critic is None else trees.member(critic, index),
  )


def frechet(
  made: generators.Generator,
  real: evaluate.Reference,
  samples: int,
  keys: Sequence[jax.Array],
) -> list[float]:
  """Squared Frechet distance of every member; the latents are of its key."""
  return [
    evaluate.quick(np.asarray(member(made, s).sample(key, samples)), real)
    for s, key in enumerate(keys)
  ]


def scores(
  made: generators.Generator,
  real: evaluate.Reference,
  samples: int,
  local: Any = None,
) -> dict[str, list[float]]:
  """All measures of every member, lists by name; `local` has a row a member."""
  found = [
    evaluate.evaluate(
      np.asarray(member(made, s).sample(jax.random.key(10_000 + s), samples)),
      real,
      None if local is None else local[s],
    )
    for s in range(count(made))
  ]
  return {k: [f[k] for f in found] for k in found[0]}


def path(folder: pathlib.Path, name: str, index: int) -> pathlib.Path:
  """The bundle of a member."""
  return folder / f'{name}_s{index}.safetensors'


def write(
  folder: pathlib.Path,
  name: str,
  made: generators.Generator,
  provenance: Mapping[str, str],
) -> None:
  """One bundle a member, with its number in the provenance."""
  for s in range(count(made)):
    one = member(made, s)
    spec = dataclasses.replace(
      one.spec, provenance={**provenance, 'member': str(s)}
    )
    bundles.save(path(folder, name, s), one._replace(spec=spec))


def read(folder: pathlib.Path, name: str, size: int) -> generators.Generator:
  """The first `size` members of what `write` kept, as one generator."""
  return batched([bundles.load(path(folder, name, s)) for s in range(size)])


def batched(members: Sequence[generators.Generator]) -> generators.Generator:
  """One generator with a leading axis S from one a member."""
  critics = [m.critic for m in members]
  has_critic = all(c is not None for c in critics)
  return members[0]._replace(
    params=trees.stack([m.params for m in members]),
    critic=trees.stack(critics) if has_critic else None,
  )

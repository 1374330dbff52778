"""Ensembles: a generator of S replicas, kept as one bundle a replica.

The parameters of an ensemble have a leading axis S, such as one index a seed.

Shapes: S replicas, K input generators.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.models import bundle
from coalesce_jax.models import generator as generator_lib


def count(ensemble: generator_lib.Generator) -> int:
  """Returns S."""
  return int(jax.tree.leaves(ensemble.params)[0].shape[0])


def member(
  ensemble: generator_lib.Generator, index: int
) -> generator_lib.Generator:
  """Returns one replica as a generator without the axis S."""
  critic = ensemble.critic
  return ensemble._replace(
    params=trees.member(ensemble.params, index),
    critic=None if critic is None else trees.member(critic, index),
  )


def path(folder: pathlib.Path, name: str, index: int) -> pathlib.Path:
  """Returns the path of a replica's bundle."""
  return folder / f'{name}_s{index}.safetensors'


def write(
  folder: pathlib.Path,
  name: str,
  ensemble: generator_lib.Generator,
  provenance: Mapping[str, str],
) -> None:
  """Writes one bundle a replica.

  Args:
    folder: folder of the bundles.
    name: start of their file names.
    ensemble: S replicas.
    provenance: of all replicas; each bundle adds the index of its replica under
      the key 'member'.
  """
  for s in range(count(ensemble)):
    replica = member(ensemble, s)
    spec = dataclasses.replace(
      replica.spec, provenance={**provenance, 'member': str(s)}
    )
    bundle.save(path(folder, name, s), replica._replace(spec=spec))


def read(folder: pathlib.Path, name: str, size: int) -> generator_lib.Generator:
  """Reads the first `size` replicas that `write` kept, as one ensemble.

  Raises:
    BundleError: a bundle is missing or damaged.
  """
  return batched([bundle.load(path(folder, name, s)) for s in range(size)])


def batched(
  replicas: Sequence[generator_lib.Generator],
) -> generator_lib.Generator:
  """Stacks S generators of one architecture into an ensemble.

  Args:
    replicas: S generators.

  Returns:
    The ensemble with the spec of the first replica. It has critics if all
    replicas have one.
  """
  critics = [replica.critic for replica in replicas]
  has_critic = all(critic is not None for critic in critics)
  return replicas[0]._replace(
    params=trees.stack([replica.params for replica in replicas]),
    critic=trees.stack(critics) if has_critic else None,
  )


def first_critic(critics: Any, batched: bool) -> Any:
  """Returns the first of K critics.

  Args:
    critics: parameters with leaves `[K, ...]`, or `[S, K, ...]` where batched.
    batched: whether the leaves have a leading axis S.

  Returns:
    Parameters with leaves `[...]`, or `[S, ...]` where batched.
  """
  index = (lambda c: c[:, 0]) if batched else (lambda c: c[0])
  return jax.tree.map(index, critics)


def stacked(
  generators: Sequence[generator_lib.Generator],
  batched: bool,
  field: str = 'params',
) -> Any:
  """Stacks the parameters of K input generators of one architecture.

  Args:
    generators: K generators, each an ensemble of S replicas where batched.
    batched: whether their leaves have a leading axis S.
    field: 'params', or 'critic' for the parameters of their critics.

  Returns:
    Parameters with leaves `[K, ...]`, or `[S, K, ...]` where batched.
  """
  tree = trees.stack([getattr(each, field) for each in generators])
  if not batched:
    return tree
  return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)

"""Parameter pytrees: named leaves, patterns over names, ensembles, sizes.

A leaf is named by its path, ``'Dense_0/kernel'``. Patterns are regular
expressions that must match the whole name; the first match wins.
"""

from collections.abc import Callable, Mapping, Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


def name(path: tuple[Any, ...]) -> str:
  """The ``'a/b/c'`` name of a key path of `jax.tree_util`."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def flatten(tree: types.Params) -> dict[str, Any]:
  """All leaves by name, in the order of `jax.tree.leaves`."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {name(path): leaf for path, leaf in leaves}


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """The nested dict whose leaves have these names.

  Raises:
    ValueError: a name is both a leaf and a prefix of another.
  """
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *parents, last = path.split('/')
    node = tree
    for parent in parents:
      node = node.setdefault(parent, {})
      if not isinstance(node, dict):
        raise ValueError(f'{path!r}: {parent!r} is a leaf already')
    if last in node:
      raise ValueError(f'{path!r} occurs twice')
    node[last] = leaf
  return tree


def map_named(fn: Callable[[str, Any], Any], tree: types.Params) -> Any:
  """`jax.tree.map` whose function also receives the leaf's name."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: fn(name(path), leaf), tree
  )


def label(
  tree: types.Params,
  rules: Sequence[tuple[str, str]],
  default: str | None = None,
) -> Any:
  """Labels each leaf by the first pattern that matches its whole name.

  Args:
    tree: any pytree.
    rules: pairs of (pattern, label), first match wins.
    default: label of leaves without a match; None makes that an error.

  Returns:
    A tree of strings with the structure of `tree`, as `optax.partition` takes.

  Raises:
    ValueError: a pattern matches no leaf, or a leaf no pattern.
  """
  unused = {pattern for pattern, _ in rules}

  def find(path: str, _: Any) -> str:
    hit = None
    for pattern, value in rules:
      if re.fullmatch(pattern, path):
        unused.discard(pattern)
        hit = value if hit is None else hit
    if hit is not None:
      return hit
    if default is None:
      raise ValueError(f'no pattern of {list(rules)} matches leaf {path!r}')
    return default

  labels = map_named(find, tree)
  if unused:
    raise ValueError(
      f'patterns {sorted(unused)} match none of {sorted(flatten(tree))}'
    )
  return labels


def stack(members: Sequence[types.Params]) -> Any:
  """Joins trees of equal shapes into one with a leading axis."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def unstack(tree: types.Params) -> list[Any]:
  """The members of an ensemble: inverse of `stack`."""
  count = len(jax.tree.leaves(tree)[0])
  return [member(tree, i) for i in range(count)]


def member(tree: types.Params, index: int) -> Any:
  """One member of an ensemble."""
  return jax.tree.map(lambda leaf: leaf[index], tree)


def count(tree: types.Params) -> int:
  """Number of scalars in the tree."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def size_bits(tree: types.Params, bits: Mapping[str, float] = {}) -> float:
  """Storage of the tree in bits.

  Args:
    tree: a pytree of arrays.
    bits: bits a scalar, by leaf name; other leaves count at their dtype.

  Returns:
    The sum over all leaves.
  """
  return sum(
    leaf.size * bits.get(path, 8 * leaf.dtype.itemsize)
    for path, leaf in flatten(tree).items()
  )

"""Names, selects, stacks and counts the leaves of parameter pytrees.

The name of a leaf is its path, for example ``'Dense_0/kernel'``. Patterns are
regular expressions that must match the whole name. The first match wins.
"""

from collections.abc import Callable, Mapping, Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import patterns
from coalesce_jax.core import types


def name(path: tuple[Any, ...]) -> str:
  """Returns the name ``'a/b/c'`` of a key path of `jax.tree_util`."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def flatten(tree: types.Params) -> dict[str, Any]:
  """Returns all leaves by name, in the order of `jax.tree.leaves`."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {name(path): leaf for path, leaf in leaves}


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the nested dict whose leaves have these names.

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
  """Maps a function of name and leaf over a tree, like `jax.tree.map`."""
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
    rules: pairs of (pattern, label); the first match wins.
    default: label of leaves that no pattern matches. None makes such a leaf an
      error.

  Returns:
    A tree of labels with the structure of `tree`, for `optax.partition`.

  Raises:
    ValueError: a pattern matches no leaf, or no pattern matches a leaf and
      there is no default.
  """
  patterns.check((pattern for pattern, _ in rules), 'leaves')
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


def stack(trees: Sequence[types.Params]) -> Any:
  """Stacks the leaves of trees of equal shapes along a new leading axis."""
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree: types.Params) -> list[Any]:
  """Splits a tree along the leading axis of its leaves; inverts `stack`."""
  count = len(jax.tree.leaves(tree)[0])
  return [member(tree, i) for i in range(count)]


def member(tree: types.Params, index: int) -> Any:
  """Returns entry `index` of the leading axis of every leaf."""
  return jax.tree.map(lambda leaf: leaf[index], tree)


def count(tree: types.Params) -> int:
  """Returns the number of scalars in the tree."""
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def size_bits(tree: types.Params, bits: Mapping[str, float] = {}) -> float:
  """Returns the size of the tree in bits.

  Args:
    tree: a pytree of arrays.
    bits: bits per scalar by leaf name. All other leaves count the bits of their
      dtype.

  Returns:
    The sum over all leaves.
  """
  return sum(
    leaf.size * bits.get(path, 8 * leaf.dtype.itemsize)
    for path, leaf in flatten(tree).items()
  )

"""Problems: games that are set up and not trained yet.

A method that only trains returns what it has learned. A problem lets another
method change how it is learned: its reparametrization, terms or targets.

Shapes: S seeds.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.methods import runner
from coalesce_jax.training import loop


class Problem(NamedTuple):
  """The arguments of `runner.run`, but for keys and seeds.

  Attributes:
    setup: ``(key, hyper, *args) -> runner.Setup``.
    args: data of one seed.
    method: static settings.
    hyper: hyperparameters by name.
    score: ``(params, *args) -> []`` for early stopping, or None.
    own: of the first arguments, whether each seed has its own, with leaves
      `[S, ...]` for `[S]` keys: a bool, or a tree of them that is a prefix of
      the argument. All seeds have the other arguments in common.
  """

  setup: Callable[..., runner.Setup]
  args: tuple[Any, ...]
  method: runner.Method
  hyper: Mapping[str, Any] = {}
  score: Callable[..., jax.Array] | None = None
  own: tuple[Any, ...] = ()


def train(
  key: types.PRNGKey, problem: Problem, hooks: loop.Hooks | None = None
) -> runner.Trained:
  """Trains a problem.

  Args:
    key: one key, or `[S]` keys; consumed.
    problem: the problem.
    hooks: effects of the loop.
  """
  key = keys_lib.typed(key)
  own = (*problem.own, *[False] * len(problem.args))[: len(problem.args)]
  return runner.run(
    key,
    problem.setup,
    for_seeds(problem.args, key, own),
    problem.method,
    hyper=problem.hyper,
    hooks=hooks,
    score=problem.score,
  )


def for_seeds(tree: Any, key: types.PRNGKey, own: Any = False) -> Any:
  """Returns arrays, repeated along a leading axis S for `[S]` keys.

  Args:
    tree: arrays of one seed.
    key: one typed key, or `[S]` keys.
    own: whether arrays have that axis already: a bool, or a tree of them that
      is a prefix of the tree.
  """
  arrays = jax.tree.map(jnp.asarray, tree)
  if not key.ndim:
    return arrays
  return jax.tree.map(
    lambda has, leaf: (
      leaf if has else jnp.broadcast_to(leaf, (*key.shape, *leaf.shape))
    ),
    jax.tree.broadcast(own, arrays), arrays,
  )  # fmt: skip

"""Freezes leaves: parameters that are left out of the training.

FreezeD freezes the image-side layers of a critic (Mo et al.,
https://arxiv.org/abs/2002.10964). MineGAN freezes whole generators.
"""

import functools
from typing import Any

import jax

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import base


@functools.lru_cache(maxsize=64)
def freeze(patterns: tuple[str, ...]) -> base.Reparam:
  """Returns the reparametrization that trains all leaves but the matching ones.

  Latent and frozen parameters are two copies of the tree. Each has None in
  place of the leaves of the other.

  Args:
    patterns: regular expressions over whole leaf names. No pattern freezes
      nothing.

  Raises:
    ValueError: at `init`, a pattern matches no leaf.
  """
  if not patterns:
    return base.identity()

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    del key
    labels = trees.label(params, [(p, 'frozen') for p in patterns], 'trained')

    def keep(kind: str) -> Any:
      return jax.tree.map(
        lambda leaf, label: leaf if label == kind else None, params, labels
      )

    return keep('trained'), keep('frozen')

  return base.Reparam(init, _join)


def _join(latent: Any, frozen: Any) -> types.Params:
  return jax.tree.map(
    lambda trained, constant: constant if trained is None else trained,
    latent,
    frozen,
    is_leaf=lambda leaf: leaf is None,
  )

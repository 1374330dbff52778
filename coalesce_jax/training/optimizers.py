"""Adam with frozen leaves, phases and linear decay, by optax.

Kingma and Ba, https://arxiv.org/abs/1412.6980.
"""

from collections.abc import Sequence
from typing import Any

import jax
import optax

from coalesce_jax.core import trees


def adam(
  learning_rate: float,
  beta1: float,
  beta2: float,
  decay_steps: int = 0,
  epsilon: float = 1e-8,
) -> optax.GradientTransformation:
  """Adam whose rate falls linearly to zero over `decay_steps` updates, or 0.

  Gradients far below `epsilon` move a parameter in proportion to them, not by
  the rate.
  """
  rate: Any = learning_rate
  if decay_steps:
    rate = optax.linear_schedule(learning_rate, 0.0, decay_steps)
  return optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)


def phased(
  optimizer: optax.GradientTransformation,
  patterns: Sequence[str],
  params: Any,
) -> list[optax.GradientTransformation]:
  """One optimiser a phase, each updating the leaves of its pattern alone.

  Args:
    optimizer: of every phase.
    patterns: of leaf names, first match wins; empty is one phase of all.
    params: what is updated.

  Raises:
    ValueError: a leaf without a phase, or a phase without a leaf.
  """
  if not patterns:
    return [optimizer]
  labels = trees.label(params, [(p, p) for p in patterns])
  return [
    _only(
      optimizer, jax.tree.map(lambda x, p=p: 'on' if x == p else 'off', labels)
    )
    for p in patterns
  ]


def frozen(
  optimizer: optax.GradientTransformation,
  patterns: Sequence[str],
  params: Any,
) -> optax.GradientTransformation:
  """An optimiser that leaves the matching leaves as they are."""
  if not patterns:
    return optimizer
  return _only(
    optimizer, trees.label(params, [(p, 'off') for p in patterns], 'on')
  )


def _only(
  optimizer: optax.GradientTransformation, labels: Any
) -> optax.GradientTransformation:
  # Not `optax.masked`: it passes raw gradients through to the other leaves.
  return optax.partition({'on': optimizer, 'off': optax.set_to_zero()}, labels)

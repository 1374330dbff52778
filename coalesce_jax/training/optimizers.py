"""Builds Adam with linear decay, and optimizers that update leaves in turns.

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
  constant_steps: int = 0,
) -> optax.GradientTransformation:
  """Returns Adam, with a constant learning rate or one that falls to zero.

  Args:
    learning_rate: initial learning rate, positive.
    beta1: decay of the first moment.
    beta2: decay of the second moment.
    decay_steps: updates over which the learning rate falls linearly to zero; 0
      keeps it constant.
    epsilon: added to the root of the second moment. A parameter whose gradients
      are far below epsilon moves in proportion to them, not by the learning
      rate.
    constant_steps: updates before the learning rate begins to fall.
  """
  rate: Any = learning_rate
  if decay_steps:
    rate = optax.linear_schedule(
      learning_rate, 0.0, decay_steps, constant_steps
    )
  return optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)


def phased(
  optimizer: optax.GradientTransformation,
  patterns: Sequence[str],
  params: Any,
) -> tuple[optax.GradientTransformation, ...]:
  """Returns one optimizer for each pattern, which updates the matching leaves.

  Args:
    optimizer: the optimizer of every phase.
    patterns: regular expressions over whole leaf names. The first match wins.
    params: the parameters, whose leaf names are matched.

  Raises:
    ValueError: a leaf matches no pattern, or a pattern matches no leaf.
  """
  labels = trees.label(params, [(p, p) for p in patterns])

  def only(pattern: str) -> optax.GradientTransformation:
    # Not `optax.masked`: it passes raw gradients through to the other leaves.
    on = jax.tree.map(lambda x: 'on' if x == pattern else 'off', labels)
    return optax.partition({'on': optimizer, 'off': optax.set_to_zero()}, on)

  return tuple(only(pattern) for pattern in patterns)

"""Adam with linear decay, and optimizers that take turns, by optax.

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
  """Returns Adam, its rate constant or falling linearly to zero.

  Args:
    learning_rate: rate at the start, positive.
    beta1: decay of the first moment.
    beta2: decay of the second moment.
    decay_steps: updates until the rate is zero; 0 keeps it constant.
    epsilon: added to the root of the second moment. Gradients far below it
      move a parameter in proportion to them, not by the rate.
  """
  rate: Any = learning_rate
  if decay_steps:
    rate = optax.linear_schedule(learning_rate, 0.0, decay_steps)
  return optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)


def phased(
  optimizer: optax.GradientTransformation,
  patterns: Sequence[str],
  params: Any,
) -> tuple[optax.GradientTransformation, ...]:
  """Returns one optimizer a pattern, each updating the leaves that match it.

  Args:
    optimizer: the optimizer of every phase.
    patterns: regular expressions over whole leaf names; the first match wins.
    params: the parameters, for their names.

  Raises:
    ValueError: a leaf matches no pattern, or a pattern no leaf.
  """
  labels = trees.label(params, [(p, p) for p in patterns])

  def only(pattern: str) -> optax.GradientTransformation:
    # Not `optax.masked`: it passes raw gradients through to the other leaves.
    on = jax.tree.map(lambda x: 'on' if x == pattern else 'off', labels)
    return optax.partition({'on': optimizer, 'off': optax.set_to_zero()}, on)

  return tuple(only(pattern) for pattern in patterns)

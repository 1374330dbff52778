r"""Holds parameters near those of earlier tasks, where these matter.

.. math:: \text{penalty} = \frac{w}{2} \sum_i F_i (\theta_i - \theta^*_i)^2

With F the diagonal of the Fisher information it is elastic weight
consolidation, Kirkpatrick et al., https://arxiv.org/abs/1612.00796, Eq. 3. Seff
et al., https://arxiv.org/abs/1705.08395, apply it to GANs. With F = 1 it is the
squared distance.

Shapes: N samples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.transforms import base


class Memory(NamedTuple):
  """What earlier tasks leave, the frozen part of the reparametrization.

  Attributes:
    anchor: parameters after the last task, theta*.
    importance: F, of the same shapes.
    weight: w, `[]`.
  """

  anchor: types.Params
  importance: types.Params
  weight: jax.Array


def consolidation(weight: float = 1.0) -> base.Reparam:
  """Returns the reparametrization that stays near where it starts, F = 1.

  Args:
    weight: w.
  """

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    del key
    ones = jax.tree.map(jnp.ones_like, params)
    return params, Memory(params, ones, jnp.float32(weight))

  return REPARAM._replace(init=init)


def penalty(latent: types.Params, frozen: Memory) -> jax.Array:
  """Returns the penalty.

  Args:
    latent: parameters of the network, theta.
    frozen: what earlier tasks left.
  """
  squares = jax.tree.map(
    lambda f, old, new: jnp.sum(f * (new - old) ** 2),
    frozen.importance, frozen.anchor, latent,
  )  # fmt: skip
  return 0.5 * frozen.weight * sum(jax.tree.leaves(squares), jnp.float32(0.0))


# Latent parameters are those of the network; a `Memory` is frozen.
REPARAM = base.Reparam(
  lambda key, given: given, lambda latent, frozen: latent, penalty=penalty
)


def fisher(
  score: Callable[[types.Params, Any], jax.Array],
  params: types.Params,
  inputs: Any,
  at_once: int = 16,
) -> types.Params:
  """Returns the mean over samples of squared derivatives of a score.

  Args:
    score: ``(params, input) -> []`` of one sample, such as a critic's score.
    params: parameters.
    inputs: leaves `[N, ...]`.
    at_once: samples whose derivatives are computed together.

  Returns:
    `F`, of the shapes of `params`.
  """
  squared = lambda x: jax.tree.map(  # noqa: E731
    jnp.square, jax.grad(score)(params, x)
  )
  each = jax.lax.map(squared, inputs, batch_size=at_once)
  return jax.tree.map(lambda leaf: jnp.mean(leaf, 0), each)


def normalised(importance: types.Params) -> types.Params:
  """Returns importances divided by their mean over each leaf.

  A leaf of zeros stays as it is. The weight of a penalty then has the meaning
  that it has with F = 1.

  Args:
    importance: F.
  """

  def one(leaf: jax.Array) -> jax.Array:
    mean = jnp.mean(leaf)
    return leaf / jnp.where(mean > 0.0, mean, 1.0)

  return jax.tree.map(one, importance)

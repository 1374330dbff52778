"""Loss terms: what a generator descends besides its critics.

Shapes: B batch.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


class Batch(NamedTuple):
  """What the generator made in one step.

  Attributes:
    prior: what its prior drew, latents `[B, Z]` by default.
    samples: what the generator made of it, `[B, ...]` by default.
  """

  prior: Any
  samples: Any


class Term(NamedTuple):
  """One loss term.

  Attributes:
    loss: ``(params, batch, data) -> scalar``, with the parameters of the
      network (not the latent ones) and the data of this name in
      `Inputs.terms`. A static function, so that games of equal terms share a
      compiled program: make it by a cached factory.
    name: of its data and its metric, `'term/<name>'`.
  """

  loss: Callable[[types.Params, Batch, Any], jax.Array]
  name: str


@functools.lru_cache(maxsize=64)
def distillation(network: types.Network, weight: float) -> Term:
  """Returns the squared distance to a teacher at shared latents.

  Its data, named `'distillation'`, are the teacher's parameters.

  Args:
    network: of the teacher.
    weight: of the mean square over all values of a batch.
  """

  def loss(params: types.Params, batch: Batch, teacher: Any) -> jax.Array:
    del params
    target = jax.lax.stop_gradient(network.apply(teacher, batch.prior))
    return weight * jnp.mean((batch.samples - target) ** 2)

  return Term(loss, 'distillation')
